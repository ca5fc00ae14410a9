/** Routes applied to requests, in order, on real threads. */
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { attachShared, shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { BootRequest, Source } from '../../src/content/types.ts';
import { Resolver } from '../../src/server/resolver.ts';
import { MemorySource } from '../../src/content/memory-source.ts';
import { RenderConfigError } from '../../src/render/types.ts';
import { Desk, textOf } from './fixture.ts';

const MAC = '52-54-00-00-00-01';
const NODES = `
nodes:
  - name: n1
    mac: ${MAC}
    address: 192.0.2.7
    labels: { rack: r1 }
    vars: { disk: sda }
  - name: n2
    mac: 52-54-00-00-00-02
`;
const CONFIG =
  'KERNEL linux {{ node.name }} {{ vars.disk | default: "vda" }}{% if labels.rack %} {{ labels.rack }}{% endif %}\n';

describe('a template', () => {
  it('gives each node its own text', async () => {
    const desk = await Desk.open(
      { 'a.liquid': CONFIG, 'nodes.yaml': NODES },
      [{ match: 'pxelinux.cfg/01-{mac}', template: 'a.liquid' }],
      { inventory: 'nodes.yaml' },
    );
    expect(await desk.read(`pxelinux.cfg/01-${MAC}`)).toBe('KERNEL linux n1 sda r1\n');
    expect(await desk.read('/pxelinux.cfg/01-52-54-00-00-00-02')).toBe('KERNEL linux n2 vda\n');
    expect(await desk.read('\\pxelinux.cfg\\01-52-54-00-00-00-03\xff')).toBe('notMine');
    expect(await desk.read('pxelinux.cfg/default')).toBe('notMine');
    expect(await desk.read('../x')).toMatch(/^denied/);
  });

  it('has the request, its captures, and the node with the client address if the name identifies none', async () => {
    const desk = await Desk.open(
      {
        'a.liquid':
          '{{ request.client }} {{ request.local }} {{ request.arch }} {{ captures.arch }} {{ node.name }} {{ request.filename }}',
        'nodes.yaml': NODES,
      },
      [{ match: 'default-{arch}', template: 'a.liquid' }],
      { inventory: 'nodes.yaml' },
    );
    expect(await desk.read('default-AMD64')).toBe('192.0.2.7 192.0.2.1 amd64 amd64 n1 default-AMD64');
  });

  it('includes files from its folder', async () => {
    const desk = await Desk.open({ 'a.liquid': "a{% render 'parts/b.liquid', x: 1 %}", 'parts/b.liquid': 'b{{ x }}' }, [
      { match: 'a', template: 'a.liquid' },
    ]);
    expect(await desk.read('a')).toBe('ab1');
  });

  it('is converted for netascii', async () => {
    const desk = await Desk.open({ 'a.liquid': 'a\nb\n' }, [{ match: 'a', template: 'a.liquid' }]);
    expect(await desk.read('a', { mode: 'netascii' })).toBe('a\r\nb\r\n');
    expect(await desk.read('a')).toBe('a\nb\n');
  });
});

describe('routes', () => {
  it('are tried in order, and pass on names that they do not match', async () => {
    const desk = await Desk.open(
      {
        'none.mjs': 'export default () => null;',
        'some.mjs': 'export default async ({ captures }, { node }) => [captures.mac, node?.name].join(" ");',
        'nodes.yaml': NODES,
      },
      [
        { match: '{mac}.ipxe', empty: true, when: { rack: 'r2' } },
        { match: '{mac}.ipxe', handler: 'none.mjs' },
        { match: '{mac}.ipxe', handler: 'some.mjs' },
        { match: '{mac}.ipxe', refuse: 'never' },
        { match: 'grub/{name}.lst', empty: true },
        { match: 'secret/{path*}', refuse: 'secret' },
      ],
      { inventory: 'nodes.yaml' },
    );
    expect(await desk.read(`${MAC}.ipxe`)).toBe('52:54:00:00:00:01 n1');
    expect(await desk.read('grub/command.lst')).toBe('');
    expect(await desk.ask('secret/a')).toEqual({ kind: 'denied', reason: 'secret', by: 'route' });
    const { routes, answer, node } = await desk.routes.explain({
      filename: `${MAC}.ipxe`,
      mode: 'octet',
      client: 'x',
      local: 'y',
    });
    expect(routes.map(({ verdict }) => verdict)).toEqual(['other labels', 'not mine', 'taken']);
    expect(answer).toMatchObject({ kind: 'content' });
    expect(node?.name).toBe('n1');
    expect(desk.routes.stats().outcomes).toMatchObject({ rendered: 1, notMine: 1, empty: 1, refused: 1 });
  });

  it('know a node by both byte orders of its UUID, which is logged once', async () => {
    const uuid = '65b6e97d-68ea-5a93-906f-433f867b7748';
    const told: unknown[] = [];
    const desk = await Desk.open(
      { 'nodes.yaml': `nodes:\n  - name: n1\n    uuid: ${uuid}\n`, 'a.liquid': '{{ node.name }} {{ node.uuid }}' },
      [{ match: 'pxelinux.cfg/{uuid}', template: 'a.liquid' }],
      { inventory: 'nodes.yaml', onWarning: (_, detail) => void told.push(detail) },
    );
    const asked = '7de9b665-ea68-935a-906f-433f867b7748';
    for (const name of [uuid, asked, asked.toUpperCase()]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect(await desk.read(`pxelinux.cfg/${name}`)).toBe(`n1 ${uuid}`);
    }
    expect(told).toEqual([{ node: 'n1', uuid, asked }]);
  });

  it('rewrite names for later routes and sources', async () => {
    const desk = await Desk.open({ 'a.liquid': '{{ request.name }}' }, [
      { match: '{path*}/grubx64.efi', rewrite: 'boot/grubx64.efi' },
      { match: 'old/{name}', rewrite: 'new/{name}' },
      { match: 'up/{name}', rewrite: '../{name}' },
      { match: 'new/a', template: 'a.liquid' },
    ]);
    const files = new MemorySource(
      new Map([
        ['boot/grubx64.efi', Buffer.from('grub')],
        ['new/\u00fc', Buffer.from('b')],
      ]),
    );
    const resolver = new Resolver([desk.routes, files]);
    const resolve = (filename: string): ReturnType<Resolver['resolve']> =>
      resolver.resolve({ filename, mode: 'octet', client: '192.0.2.7', local: '192.0.2.1' });
    expect(textOf(await resolve('a/b/grubx64.efi'))).toBe('grub');
    expect(textOf(await resolve('old/a'))).toBe('new/a');
    expect(textOf(await resolve('old/\xc3\xbc'))).toBe('b');
    expect((await resolve('old/c')).kind).toBe('missing');
    expect((await resolve('up/c')).kind).toBe('denied');
  });
});

describe('routes and names that are not clean', () => {
  const LATIN1 = 'gr\xf6\xdfe';

  async function openDesk(): Promise<(filename: string) => Promise<string>> {
    const desk = await Desk.open({ 'a.liquid': 'made for {{ captures.name }}' }, [
      { match: 'cfg/{name}', template: 'a.liquid' },
      { match: 'secret/{path*}', refuse: 'secret' },
      { match: 'empty/{mac}', empty: true },
      { match: 'old/{path*}', rewrite: 'new/{path*}' },
      { match: 'packed/{name}', rewrite: 'new/{name}.gz' },
      { match: 'ü/{name}', rewrite: 'ü/new/{name}' },
    ]);
    const names = [
      `new/${LATIN1}`,
      `new/${LATIN1}.gz`,
      'new/x',
      'new/x\xff',
      'new/y',
      'new/x.gz',
      '\xc3\xbc/new/x\xff',
    ];
    // Each file contains its own name.
    const files: Source = {
      open: ({ filename }) =>
        names.includes(filename)
          ? { kind: 'content', handle: shareBytes(Buffer.from(filename, 'latin1')), label: '', release: () => {} }
          : { kind: 'missing' },
    };
    const resolver = new Resolver([desk.routes, files]);
    return async (filename) => {
      const answer = await resolver.resolve({ filename, mode: 'octet', client: '192.0.2.7', local: '192.0.2.1' });
      return answer.kind === 'content'
        ? Buffer.from(attachShared(answer.handle).bytes).toString('latin1')
        : answer.kind;
    };
  }

  it('rewrite the raw bytes first, and then the cleaned name', async () => {
    const read = await openDesk();
    expect(await read(`old/${LATIN1}`)).toBe(`new/${LATIN1}`);
    expect(await read('old/x\xff')).toBe('new/x\xff');
    expect(await read('old/y\xff')).toBe('new/y');
    expect(await read(`packed/${LATIN1}`)).toBe(`new/${LATIN1}.gz`);
    // Bytes that firmware sends after the name must not end up in the middle of the new name.
    expect(await read('packed/x\xff')).toBe('new/x.gz');
    expect(await read('\xfc/x\xff')).toBe('\xc3\xbc/new/x\xff');
    expect(await read('\\old\\x')).toBe('new/x');
  });

  it('ignore bytes after a name', async () => {
    const read = await openDesk();
    for (const name of ['cfg/x\xff', 'cfg/x\n{{ 1 }}', 'cfg\\x', 'C:/cfg/x']) {
      expect({ name, text: await read(name) }).toEqual({ name, text: 'made for x' });
    }
    expect(await read('empty/52-54-00-00-00-01\xff')).toBe('');
  });

  it('match the rest of a name after a usual root folder, if nothing has the whole name', async () => {
    const read = await openDesk();
    // PXELINUX requests its config from its own folder.
    expect(await read('/tftpboot/cfg/x')).toBe('made for x');
    expect(await read('/srv/tftp/old/x')).toBe('new/x');
    expect(await read('/srv/tftp/secret/x')).toBe('denied');
    expect(await read('/srv/tftpboot/cfg/x')).toBe('missing');
  });

  it('refuse a name with garbage after it like the plain name', async () => {
    const read = await openDesk();
    for (const name of ['secret/x', 'secret/x\xff', 'secret\\x', '/secret//x\n']) {
      expect({ name, text: await read(name) }).toEqual({ name, text: 'denied' });
    }
  });

  it('keep the patience that a rewrite grants', async () => {
    const desk = await Desk.open({}, [{ match: 'old/{name}', rewrite: 'new/{name}', patienceMs: 5000 }]);
    expect(await desk.ask('old/x\xff')).toEqual({ kind: 'renamed', filename: 'new/x\xff', patienceMs: 5000 });
    expect(await desk.ask('old/x')).toEqual({ kind: 'renamed', filename: 'new/x', patienceMs: 5000 });
  });

  it('let no capture lead out of the folder it is put into', async () => {
    const desk = await Desk.open({}, [
      { match: '{serial}-{name}', rewrite: 'nodes/{serial}{name}/x' },
      { match: 'n/{name}', rewrite: 'nodes/{name}' },
    ]);
    expect((await desk.ask('.-.')).kind).toBe('denied');
    expect((await desk.ask('n/a\\..\\..\\b')).kind).toBe('denied');
    expect(await desk.ask('a-b')).toEqual({ kind: 'renamed', filename: 'nodes/ab/x' });
  });
});

describe('rewrites by place', () => {
  it('give each client, each address of ours and each interface names of its own', async () => {
    const desk = await Desk.open({}, [
      { match: 'c/{path*}', rewrite: 'clients/{client}/{path*}' },
      { match: 'l/{name}', rewrite: '{local}/{name}' },
      { match: 'i/{name}', rewrite: '{interface}/{name}' },
    ]);
    const asked = async (filename: string, more: Partial<BootRequest> = {}): Promise<unknown> => {
      const answer = await desk.ask(filename, more);
      return answer.kind === 'renamed' ? answer.filename : answer.kind;
    };
    expect(await asked('c/a/b')).toBe('clients/192.0.2.7/a/b');
    expect(await asked('c/a\xff')).toBe('clients/192.0.2.7/a\xff');
    expect(await asked('c/a', { client: 'fe80::7%eth0' })).toBe('clients/fe80::7/a');
    expect(await asked('l/a')).toBe('192.0.2.1/a');
    expect(await asked('i/a', { local: 'fe80::1%eth0' })).toBe('eth0/a');
    const loopback = Object.keys(networkInterfaces()).find((name) => name.startsWith('lo'));
    expect(await asked('i/\xe4', { local: '127.0.0.1' })).toBe(`${loopback}/\xe4`);
    // The address belongs to no interface, so the request is denied rather than given another network's files.
    expect(await desk.ask('i/a', { local: '203.0.113.77' })).toMatchObject({ kind: 'denied', by: 'route' });
    expect(await desk.ask('i/\xe4', { local: '203.0.113.77' })).toMatchObject({ kind: 'denied', by: 'route' });
  });

  it.each([
    '../192.0.2.8/x',
    'a/../../192.0.2.8/x',
    '..\\192.0.2.8\\x',
    'x\xff/../../192.0.2.8/x',
    '/clients/192.0.2.8/x',
  ])('let no client out of its folder by the name %j', async (filename) => {
    const desk = await Desk.open({}, [{ match: '{path*}', rewrite: 'clients/{client}/{path*}' }]);
    const seen: string[] = [];
    const files: Source = {
      paths: ['/srv/boot'],
      open: (request) => {
        seen.push(request.filename);
        return { kind: 'missing' };
      },
    };
    const answer = await new Resolver([desk.routes, files]).resolve({
      filename,
      mode: 'octet',
      client: '192.0.2.7',
      local: '192.0.2.1',
    });
    expect(['denied', 'missing']).toContain(answer.kind);
    expect(seen.filter((name) => !name.startsWith('clients/192.0.2.7/'))).toEqual([]);
  });

  it('accept no other placeholder', async () => {
    const desk = await Desk.open({}, []);
    await expect(desk.load([{ match: 'a', rewrite: '{clients}/a' }])).rejects.toThrow(
      'route 1 (a): expected a capture of the route, got {clients}',
    );
  });
});

describe('what was made', () => {
  const counter = 'let n = 0; export default async () => String(++n);';

  it('is made once for concurrent requests, and stays the same within a boot', async () => {
    const desk = await Desk.open({ 'n.mjs': counter }, [{ match: 'grub.cfg', handler: 'n.mjs' }], { threads: 1 });
    expect(await Promise.all(Array.from({ length: 20 }, () => desk.read('grub.cfg')))).toEqual(Array(20).fill('1'));
    expect(await desk.read('grub.cfg')).toBe('1');
    expect(await desk.read('grub.cfg', { client: '192.0.2.8' })).toBe('2');
    expect(desk.routes.stats().outcomes).toMatchObject({ rendered: 2, shared: 20 });
  });

  it('is made again when the node asks for a loader, has long been silent, or the config is replaced', async () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, wake: (): (() => void) => () => {} };
    const desk = await Desk.open({ 'n.mjs': counter }, [{ match: 'grub.cfg', handler: 'n.mjs' }], {
      threads: 1,
      clock,
    });
    const read = async (): Promise<number> => Number(await desk.read('grub.cfg'));
    expect([await read(), await read()]).toEqual([1, 1]);
    await desk.read('grubx64.efi');
    expect(await read()).toBe(2);
    nowMs = 59_000;
    expect(await read()).toBe(2);
    nowMs = 120_000;
    expect(await read()).toBe(3);
    await desk.routes.replace(await desk.load([{ match: 'grub.cfg', handler: 'n.mjs' }], { threads: 1, clock }));
    expect(await read()).toBe(1);
    expect(desk.routes.stats().reloads).toBe(1);
  });
});

describe('a reload', () => {
  it('lets requests under way end with the old routes, and loses none', async () => {
    const slow = 'export default async () => { await new Promise((done) => setTimeout(done, 200)); return "old"; };';
    const desk = await Desk.open({ 'slow.mjs': slow, 'b.liquid': 'new' }, [{ match: 'a', handler: 'slow.mjs' }]);
    const under = desk.read('a');
    const next = await desk.load([{ match: 'a', template: 'b.liquid' }]);
    const replaced = desk.routes.replace(next);
    expect(await desk.read('a')).toBe('new');
    expect(await under).toBe('old');
    await replaced;
  });

  it.each([
    [
      'a template that does not parse',
      { 'bad.liquid': 'x\n{% if %}' },
      { match: 'a', template: 'bad.liquid' },
      /^bad\.liquid: .*line:2/,
    ],
    [
      'a partial that is not there',
      { 'bad.liquid': "{% render 'no.liquid' %}" },
      { match: 'a', template: 'bad.liquid' },
      /^bad\.liquid: .*no\.liquid/,
    ],
    ['a template that is not there', {}, { match: 'a', template: 'no.liquid' }, /^no\.liquid: ENOENT/],
    [
      'a handler that is not there',
      {},
      { match: 'a', handler: 'no.mjs' },
      /^no\.mjs: Error: Cannot find module '[^']*\/no\.mjs'$/,
    ],
    ['a template elsewhere', {}, { match: 'a', template: '../no.liquid' }, /^route 1 \(a\): expected a file in/],
    [
      'a handler that does not parse',
      { 'bad.mjs': 'export default (' },
      { match: 'a', handler: 'bad.mjs' },
      /^bad\.mjs: SyntaxError/,
    ],
    [
      'a handler without a function',
      { 'bad.mjs': 'export const a = 1;' },
      { match: 'a', handler: 'bad.mjs' },
      /^bad\.mjs: .*expected `export default/,
    ],
    ['a route that does two things', {}, { match: 'a', empty: true, refuse: 'x' }, /^route 1 \(a\): expected one of/],
    ['a pattern that is none', {}, { match: '{x}', empty: true }, /^route 1 \(\{x\}\): expected one of \{mac\}/],
    [
      'an upstream that is none',
      {},
      { match: 'a', upstream: 'http://{name}/x' },
      /^route 1 \(a\): upstream: expected http/,
    ],
    [
      'a rewrite with what was not captured',
      {},
      { match: 'a', rewrite: '{mac}' },
      /expected a capture of the route, got \{mac\}/,
    ],
  ] as const)('of %s is refused in one line', async (_, files, route, message) => {
    const desk = new Desk();
    desk.write(files);
    const failure = await desk.load([route as never]).catch((error: unknown) => error as Error);
    expect(failure).toBeInstanceOf(RenderConfigError);
    expect((failure as Error).message).toMatch(message);
    expect((failure as Error).message).not.toContain('\n');
  });
});
