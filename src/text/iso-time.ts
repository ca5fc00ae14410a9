/** Points in time as JSON and tables show them. */

/** Formats a time as `2025-07-16T09:30:00Z`. @param ms milliseconds since the epoch. */
export function isoTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
