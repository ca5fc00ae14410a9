/**
 * The path of one request through routes, boot sets and files, as data and as text: which parts were tried, why each
 * passed it on, and the answer that would be sent. Knows the parts by their interfaces, and changes none of them.
 */
import type { BootSetWay } from '../boot-set/index.ts';
import type { Answer, BootRequest, Source } from '../content/types.ts';
import { asText, cleanName, exactPath, readingsBehind, readingsOf, textPath } from '../content/name.ts';
import { whenWhole } from '../content/when-whole.ts';
import { attachShared } from '../bytes/shared-bytes.ts';
import type { Explanation } from '../render/types.ts';
import { escapeText } from '../text/escape.ts';
import { counted } from '../text/figures.ts';
import { isoTime } from '../text/iso-time.ts';

export interface TraceParts {
  /** undefined: there are no routes. */
  readonly routes: ((request: BootRequest) => Promise<Explanation> | undefined) | undefined;
  readonly bootSets: ((request: BootRequest) => Promise<BootSetWay>) | undefined;
  readonly files: { readonly source: Source; readonly root: string } | undefined;
}

/** The protocol that the client asks by, which decides how it sees a refusal. */
export type Protocol = 'tftp' | 'http';

/** The answer that the client would see. */
export type End =
  | { readonly kind: 'content'; readonly from: 'routes' | 'boot sets' | 'files'; readonly bytes: Uint8Array }
  | { readonly kind: 'error'; readonly code: 0 | 1 | 2; readonly reason: string }
  | { readonly kind: 'silence'; readonly reason: string };

export interface Way {
  readonly request: BootRequest;
  readonly protocol: Protocol;
  /** The cleaned name; undefined when no file can have the requested name. */
  readonly name: string | undefined;
  /** The routes that were tried; undefined when there are no routes. */
  readonly routes: Explanation | undefined;
  /** undefined: boot sets were not asked. */
  readonly bootSets: BootSetWay | undefined;
  /** The path at which a file was looked up; undefined when files were not asked. */
  readonly file: string | undefined;
  readonly end: End;
  /** True if the server runs all transfers at the port that was asked. */
  readonly singlePort?: boolean;
}

/** The way of one reading of the name. */
type Reading = Omit<Way, 'protocol'>;

/** HTTP status for each TFTP error code, as src/http answers. */
const STATUS_OF_ERROR = { 0: 403, 1: 404, 2: 403 } as const;
/** HTTP status of an answer that would not come in time. */
const BUSY_STATUS = 503;

/**
 * Returns what the client sees of a request without content: a TFTP error code or an HTTP status; nothing for a TFTP
 * client that gets no answer.
 */
export function refusalCode({ end, protocol }: Way): { readonly code?: number; readonly status?: number } {
  if (end.kind === 'error') return protocol === 'tftp' ? { code: end.code } : { status: STATUS_OF_ERROR[end.code] };
  return end.kind === 'silence' && protocol === 'http' ? { status: BUSY_STATUS } : {};
}

/** Returns the refusal in words; undefined for content. */
export function refusalText(way: Way): string | undefined {
  const { end } = way;
  if (end.kind === 'content') return undefined;
  const { code, status } = refusalCode(way);
  if (end.kind === 'error') return `${status === undefined ? `error ${code}` : `status ${status}`}: ${end.reason}`;
  return status === undefined
    ? `no answer, the client asks again: ${end.reason}`
    : `status ${status}, unless this passes in time: ${end.reason}`;
}

async function endOf(answer: Answer, from: 'boot sets' | 'files'): Promise<End | undefined> {
  switch (answer.kind) {
    case 'content':
      try {
        if (await whenWhole(answer.supply))
          return { kind: 'content', from, bytes: Uint8Array.from(attachShared(answer.handle).bytes) };
        return {
          kind: 'silence',
          reason: 'the file is larger than the memory limit, is changing or cannot be read, so its bytes are not shown',
        };
      } finally {
        answer.release();
      }
    case 'missing':
      return { kind: 'error', code: 1, reason: 'no such file' };
    case 'denied':
      return { kind: 'error', code: answer.tooLarge === true ? 0 : 2, reason: answer.reason };
    case 'busy':
      return { kind: 'silence', reason: answer.reason };
    case 'notMine':
    case 'renamed':
      return undefined;
  }
}

/**
 * Traces a request as a server with these parts would answer it: by the first reading of the name that leads to an
 * answer.
 */
export async function trace(parts: TraceParts, request: BootRequest, protocol: Protocol): Promise<Way> {
  return { ...(await traceReadings(parts, request)), request, protocol };
}

async function traceReadings(parts: TraceParts, request: BootRequest): Promise<Reading> {
  const readings = readingsOf(request.filename);
  if ('kind' in readings) return await traceReading(parts, request);
  const ways: Reading[] = [];
  const follow = async (names: readonly string[]): Promise<Reading | undefined> => {
    for (const filename of names) {
      // oxlint-disable-next-line no-await-in-loop -- the next reading is tried only if this one gives no answer.
      const way = await traceReading(parts, { ...request, filename });
      if (way.end.kind !== 'error' || way.end.code !== 1) return way;
      ways.push(way);
    }
    return undefined;
  };
  const found =
    (await follow(readings)) ??
    (await follow(readingsBehind(readings, parts.files === undefined ? [] : [parts.files.source])));
  // If no reading of the name gives an answer, shows the reading with the clean name: it helps most.
  return found ?? ways.find((way) => typeof textPath(way.request.filename) === 'string') ?? ways[0]!;
}

async function traceReading(parts: TraceParts, request: BootRequest): Promise<Reading> {
  const clean = cleanName(request.filename);
  const routes = await parts.routes?.(request);
  const begun = { request, name: typeof clean === 'string' ? clean : undefined, routes };
  const answer = routes?.answer;
  if (answer !== undefined && answer.kind !== 'notMine') {
    const end: End =
      answer.kind === 'content'
        ? { kind: 'content', from: 'routes', bytes: answer.bytes }
        : (await endOf(answer, 'files'))!;
    return { ...begun, bootSets: undefined, file: undefined, end };
  }
  const rest = answer === undefined ? request : { ...request, filename: answer.filename };
  const bootSets = await parts.bootSets?.(rest);
  const found = bootSets === undefined ? undefined : await endOf(bootSets.answer, 'boot sets');
  if (found !== undefined) return { ...begun, bootSets, file: undefined, end: found };
  const path = exactPath(rest.filename);
  const file =
    parts.files === undefined || typeof path !== 'string' ? undefined : `${parts.files.root}/${asText(path)}`;
  const last = parts.files === undefined ? undefined : await endOf(await parts.files.source.open(rest), 'files');
  return { ...begun, bootSets, file, end: last ?? { kind: 'error', code: 1, reason: 'no such file' } };
}

/** @returns the trace for JSON, without the content's bytes. */
export function wayToJson(way: Way): unknown {
  const { request, name, routes, bootSets, file, end, singlePort } = way;
  const { bootset } = routes ?? {};
  return {
    asked: asText(request.filename),
    name: name ?? null,
    client: request.client,
    node: routes?.node?.name ?? bootSets?.pin?.node ?? null,
    captures: routes?.captures ?? {},
    routes: routes?.routes ?? [],
    config_version: bootset === undefined ? null : { name: bootset.name, pinned: routes?.pinned },
    boot_set:
      bootSets?.asked === undefined
        ? null
        : {
            ...bootSets.asked,
            version: bootSets.version ?? null,
            why: bootSets.reason ?? null,
            pin: bootSets.pin ?? null,
            blob: bootSets.file?.blob ?? null,
          },
    path: file ?? null,
    ...(singlePort === true ? { single_port: true } : {}),
    answer:
      end.kind === 'content'
        ? { kind: 'content', from: end.from, bytes: end.bytes.length }
        : { kind: end.kind, ...refusalCode(way), reason: end.reason },
  };
}

const WHY: Readonly<Record<NonNullable<BootSetWay['reason']>, string>> = {
  explicit: 'the name says so',
  pinned: 'the boot of the node began with it',
  'by hand': 'a boot begins; the node is pinned to it by hand',
  rollout: 'a boot begins; the node is in the rollout',
  current: 'a boot begins; it is the current version',
  'shared network': 'the current version; nodes at this address cannot be told apart',
};

function bootSetLines({ asked, version, reason, pin, file }: BootSetWay): string[] {
  if (asked === undefined) return ['boot sets   no channel or version has this name'];
  const what =
    asked.by === 'channel' ? `channel ${asked.channel}, file ${asked.file}` : `a version, file ${asked.file}`;
  return [
    `boot sets   ${what}`,
    ...(version === undefined ? [] : [`version     ${version}${reason === undefined ? '' : `: ${WHY[reason]}`}`]),
    ...(pin === undefined ? [] : [`pin         ${pin.node}, boot began ${isoTime(pin.createdAt)}`]),
    ...(file === undefined ? [] : [`blob        ${file.blob}, ${counted(file.size, 'byte')}`]),
  ];
}

function endLine(way: Way): string {
  const { end } = way;
  if (end.kind === 'content') return `answer      ${counted(end.bytes.length, 'byte')}, from ${end.from}`;
  return `answer      ${refusalText(way)}`;
}

/** @returns the trace for a person: a line for each step. */
export function wayToText(way: Way): string {
  const { request, name, routes, bootSets, file, singlePort } = way;
  const captures = Object.entries(routes?.captures ?? {}).map(([key, value]) => `${key} ${value}`);
  const target = routes?.answer.kind === 'notMine' ? asText(routes.answer.filename) : undefined;
  const lines = [
    `asked       ${asText(request.filename)}, by ${request.client}`,
    `name        ${name ?? 'none: no file can have this name'}`,
    ...(routes === undefined ? ['routes      none are configured'] : []),
    ...(routes?.routes ?? []).map(
      ({ route, match, kind, verdict, detail }) =>
        `route ${String(route).padEnd(5)} ${match} (${kind}): ${verdict}${detail === undefined ? '' : `, ${detail}`}`,
    ),
    ...(captures.length === 0 ? [] : [`captured    ${captures.join(', ')}`]),
    ...(routes?.node === undefined ? [] : [`node        ${routes.node.name}`]),
    ...(routes?.bootset === undefined
      ? []
      : [
          `boot set    ${routes.bootset.name}, ${routes.pinned ? 'the boot of the node began with it' : 'as for a new boot'}`,
        ]),
    ...(target === undefined || target === name ? [] : [`looked for  ${target}`]),
    ...(bootSets === undefined ? [] : bootSetLines(bootSets)),
    ...(file === undefined ? [] : [`file        ${file}`]),
    ...(singlePort === true
      ? ['port        over TFTP the one that was asked, for the whole transfer (singlePort)']
      : []),
    endLine(way),
  ];
  return lines.map((line) => `${escapeText(line, 4096)}\n`).join('');
}
