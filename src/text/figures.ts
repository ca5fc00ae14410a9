/** How a storm's figures are written, the same in every view. Knows numbers and units, no report. */

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Formats a count: `1,234,567`. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** Formats three significant digits: `0.418`, `4.18`, `41.8`, `418`. */
export function threeDigits(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 99.95) return String(Math.round(value));
  if (magnitude >= 9.995) return value.toFixed(1);
  return magnitude >= 0.9995 || magnitude === 0 ? value.toFixed(value === 0 ? 0 : 2) : String(Number(value.toFixed(3)));
}

/** Formats bytes in powers of 1000, like `throughput` in an SLO: `0 B`, `418 B`, `1.24 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < SIZES.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : threeDigits(value)} ${SIZES[unit]}`;
}

/** Formats a rate: `211 MB/s`. */
export function formatRate(bytesPerS: number): string {
  return `${formatBytes(bytesPerS)}/s`;
}

/** Formats a time: `418 µs`, `4.18 ms`, `58.2 s`, `2 min 05 s`, `1 h 02 min`. */
export function formatMs(ms: number): string {
  if (ms === 0) return '0 ms';
  if (ms < 0.9995) return `${threeDigits(ms * 1000)} µs`;
  if (ms < 999.5) return `${threeDigits(ms)} ms`;
  if (ms < 119_950) return `${threeDigits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const tail = (value: number): string => String(value % 60).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${tail(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${tail(minutes)} min`;
}

/** Formats a share: `0 %`, `0.4 %`, `98.7 %`, `100 %`. 100 only when the part is the whole. */
export function formatShare(part: number, whole: number): string {
  if (whole === 0) return '–';
  const percent = (part / whole) * 100;
  if (part > 0 && percent < 0.1) return '< 0.1 %';
  const floored = Math.floor(percent * 10) / 10;
  return `${Number.isInteger(floored) ? floored : floored.toFixed(1)} %`;
}

/** Formats a count with its noun: `1 node`, `1,000 nodes`. */
export function formatMany(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** `1 node`, `2 nodes`. @param noun in the singular, of those that take an s. */
export function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
