/** Statements 21 to 29: file names, and the ERRORs for names of no file. */
import type { Check } from './check.ts';
import { type CheckContext, isServed } from './check-context.ts';
import { describe, type Name, type Reply } from './packets.ts';
import { fail, isVerdict, notOffered, pass, type Verdict, worst } from './verdict.ts';

/** A name that no server has. */
const NOWHERE = 'reveille-check-there-is-no-such-file';
const MAX_ERROR_BYTES = 512;

async function served(context: CheckContext, name: Name, what: string): Promise<Verdict> {
  const reply = await context.read([], name);
  return isServed(reply) ? pass() : fail(`expected the file ${what}, got ${describe(reply)}`);
}

async function offeredName(context: CheckContext, wanted: (name: string) => boolean, what: string): Promise<Verdict> {
  const file = context.named(wanted, `whose name has ${what}`);
  return isVerdict(file) ? file : await served(context, file.name, `whose name has ${what}`);
}

/** Asks by another spelling of a name. A strict server may not know it: then it has no such file. */
async function otherSpelling(context: CheckContext, name: string, what: string): Promise<Verdict> {
  const reply = await context.read([], name);
  if (isServed(reply)) return pass();
  if (reply?.kind === 'ERROR') return notOffered(`${what}: ${describe(reply)}`);
  return fail(`expected the file or ERROR for ${what}, got ${describe(reply)}`);
}

async function refused(context: CheckContext, name: Name, what: string): Promise<Verdict> {
  const reply = await context.read([], name);
  return reply?.kind === 'ERROR' ? pass() : fail(`expected ERROR for ${what}, got ${describe(reply)}`);
}

async function wayOut(context: CheckContext): Promise<Verdict> {
  const up = '../'.repeat(10);
  const names = [`${up}etc/passwd`, `/${up}etc/passwd`, `./x/${up}etc/passwd`, `${up}etc/passwd`.replaceAll('/', '\\')];
  return worst(await Promise.all(names.map((name) => refused(context, name, `the name ${name}`))));
}

async function folders(context: CheckContext): Promise<Verdict> {
  const named = context.files.find(({ name }) => /[^/]\/[^/]/.test(name))?.name;
  const names = ['.', ...(named === undefined ? [] : [named.slice(0, named.lastIndexOf('/'))])];
  return worst(await Promise.all(names.map((name) => refused(context, name, `the folder ${name}`))));
}

function formOf(reply: Reply | undefined): Verdict {
  if (reply?.kind !== 'ERROR') return fail(`expected ERROR for a file that is not there, got ${describe(reply)}`);
  const { bytes } = reply;
  const text = bytes.toString('latin1', 4, bytes.length - 1);
  if (bytes.length < 5 || bytes.at(-1) !== 0) return fail('the message of an ERROR does not end with a NUL');
  if (bytes.length > MAX_ERROR_BYTES) return fail(`an ERROR has ${bytes.length} bytes`);
  if (/[^ -~]/.test(text)) return fail(`the message of an ERROR is not printable ASCII: ${describe(reply)}`);
  if (/(?:^|[^\w.])\/\w/.test(text)) return fail(`the message of an ERROR has a path in it: ${describe(reply)}`);
  return pass();
}

export const NAME_CHECKS: readonly Check[] = [
  {
    number: 21,
    title: 'A file whose name has spaces is served',
    clause: 'RFC 1350 §5: any netascii but NUL',
    run: (context) => offeredName(context, (name) => name.includes(' '), 'a space'),
  },
  {
    number: 22,
    title: 'The bytes of a name in UTF-8 are kept',
    clause: 'RFC 1350 §5 does not define bytes over 127',
    run: (context) => offeredName(context, (name) => /[^\0-\x7f]/.test(name), 'a character outside ASCII'),
  },
  {
    number: 23,
    title: 'A name in invalid UTF-8 that no file has gets an ERROR',
    clause: 'RFC 1350 §5 does not define bytes over 127: a file may have such a name',
    alone: true,
    run: (context) =>
      refused(context, Buffer.from('no-\xc3\x28-such-\xff\xfe-file', 'latin1'), 'a name in invalid UTF-8'),
  },
  {
    number: 24,
    title: '`\\` in a name stands for `/`',
    clause: 'Windows loaders send such names',
    run: async (context) => {
      const file = context.named((name) => name.includes('/'), 'in a folder');
      if (isVerdict(file)) return file;
      return await otherSpelling(context, file.name.replaceAll('/', '\\'), 'a name with backslashes');
    },
  },
  {
    number: 25,
    title: 'Repeated slashes in a name count as one',
    clause: 'GRUB and PXELINUX join names in this way',
    run: (context) => {
      const { name } = context.files.find((file) => file.name.includes('/')) ?? context.file;
      return otherSpelling(context, name.includes('/') ? name.replaceAll('/', '//') : `//${name}`, 'doubled slashes');
    },
  },
  {
    number: 26,
    title: 'A leading slash makes no difference',
    clause: 'some loaders send it, some leave it out',
    run: (context) => {
      const { name } = context.file;
      return otherSpelling(
        context,
        name.startsWith('/') ? name.slice(1) : `/${name}`,
        'an added or removed leading slash',
      );
    },
  },
  {
    number: 27,
    title: 'A name that leads out of the root by `..` gets an ERROR',
    clause: 'RFC 1123 §4.2.3.4',
    alone: true,
    run: wayOut,
  },
  {
    number: 28,
    title: 'The name of a folder gets an ERROR',
    clause: 'a folder is not a file',
    alone: true,
    run: folders,
  },
  {
    number: 29,
    title: 'An ERROR has a message in ASCII with a NUL at its end, at most 512 bytes, and no path of the server',
    clause: 'RFC 1350 §5',
    run: async (context) => formOf(await context.read([], NOWHERE)),
  },
];
