import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config-file.ts';
import { SETTING_LIST, SETTINGS } from '../../src/config/settings.ts';
import { EXPECTED_ADDRESS } from '../../src/redis/redis-url.ts';
import { UsageError } from '../../src/config/usage-error.ts';
import { folder } from '../support/reveille.ts';

/** Error message of readConfig for `text`, without the folder's path. */
function mistake(text: string | Uint8Array): string {
  const root = folder();
  const file = join(root, 'c.yaml');
  writeFileSync(file, text);
  let found: unknown;
  try {
    readConfig(file);
  } catch (error) {
    found = error;
  }
  expect(found).toBeInstanceOf(UsageError);
  const { message } = found as UsageError;
  expect(message).toMatch(/^[\x20-\x7e]+$/);
  return message.replace(`${root}/`, '');
}

const FULL = `# every key
root: tree
listen: ["0.0.0.0:69", "[::]:69"]
admin: "127.0.0.1:0"
workers: 3
engine: portable
dataPorts: 49152-49999
singlePort: false
listenOnEachAddress: true
answerBroadcast: true
http: ["0.0.0.0:80", "[::]:80"]
https: "0.0.0.0:443"
tlsCertificate: cert.pem
tlsKey: /etc/key.pem
httpThreads: 3
httpConnections: 500
cacheBytes: 512MiB
memoryLimit: 4GiB
sessions: 100
queue: 200
clients: [10.0.0.0/8, 2001:db8::/32]
halfOpen: 11
halfOpenPerNetwork: 12
halfOpenPerAddress: 13
sessionsPerAddress: 14
sessionsPerNetwork4: 15
sessionsPerNetwork6: 16
patience: 75s
minRate: 16KiB
maxWindowsize: 16
maxBlksize: [1428, 2001:db8:5::/48=1228]
acknowledgeTimeout: true
caseInsensitive: true
trustedRoots: [mirror, /srv/images]
immutable: true
store: sets
pinIdle: 20m
pinCap: 60m
keepVersions: 0
stageZero: [a*, b/*]
sharedNetworks: 192.0.2.0/24
leases: dnsmasq.leases
prefetch: false
gcEvery: 0
gcGrace: 90s
routes:
  - match: "pxelinux.cfg/01-{mac}"
    template: pxelinux.liquid
    channel: rack/install
    when: {role: compute, rack: 7}
    unknown: true
    timeout: 500ms
    maxBytes: 64KiB
    onFailure: next
  - {match: "{path*}.lst", empty: true}
inventory: nodes.yaml
renderThreads: 4
renderTimeout: 1s
fleet: true
follow:
  - {channel: rack/rescue, from: "oci+http://127.0.0.1:5000/rescue", every: 5m, move: promoted}
registryAuthFile: registry.json
registryCaFile: /etc/ca.pem
pins: redis+sentinel://one,two:26380/boot
pinsPrefix: hall
pinsPasswordFile: pins-password
pinsCaFile: /etc/pins.pem
apiToken: 0123456789abcdefg
apiTokenFile: token
drain: 5s
logLevel: debug
logFormat: pretty
hint: false
`;

describe('a config file', () => {
  it('holds every setting', () => {
    const root = folder();
    const file = join(root, 'c.yaml');
    writeFileSync(file, FULL);
    const { values } = readConfig(file);
    expect(values).toEqual({
      root: join(root, 'tree'),
      listen: [
        { address: '0.0.0.0', port: 69 },
        { address: '::', port: 69 },
      ],
      admin: { address: '127.0.0.1', port: 0 },
      workers: 3,
      engine: 'portable',
      dataPorts: { from: 49152, to: 49999 },
      singlePort: false,
      listenOnEachAddress: true,
      answerBroadcast: true,
      http: [
        { address: '0.0.0.0', port: 80 },
        { address: '::', port: 80 },
      ],
      https: [{ address: '0.0.0.0', port: 443 }],
      tlsCertificate: join(root, 'cert.pem'),
      tlsKey: '/etc/key.pem',
      httpThreads: 3,
      httpConnections: 500,
      cacheBytes: 512 * 2 ** 20,
      memoryLimitBytes: 4 * 2 ** 30,
      sessions: 100,
      queue: 200,
      clients: ['10.0.0.0/8', '2001:db8::/32'],
      halfOpen: 11,
      halfOpenPerNetwork: 12,
      halfOpenPerAddress: 13,
      sessionsPerAddress: 14,
      sessionsPerNetwork4: 15,
      sessionsPerNetwork6: 16,
      patienceMs: 75_000,
      minBytesPerSecond: 16_384,
      maxWindowsize: 16,
      maxBlksize: [
        { network: undefined, blksize: 1428 },
        { network: '2001:db8:5::/48', blksize: 1228 },
      ],
      acknowledgeTimeout: true,
      caseInsensitive: true,
      trustedRoots: [join(root, 'mirror'), '/srv/images'],
      immutable: true,
      store: join(root, 'sets'),
      pinIdleMs: 1_200_000,
      pinCapMs: 3_600_000,
      keepVersions: 0,
      stageZero: ['a*', 'b/*'],
      sharedNetworks: ['192.0.2.0/24'],
      leases: join(root, 'dnsmasq.leases'),
      prefetch: false,
      gcEveryMs: 0,
      gcGraceMs: 90_000,
      routes: [
        {
          match: 'pxelinux.cfg/01-{mac}',
          template: 'pxelinux.liquid',
          channel: 'rack/install',
          when: { role: 'compute', rack: '7' },
          unknown: true,
          timeoutMs: 500,
          maxBytes: 65_536,
          onFailure: 'next',
        },
        { match: '{path*}.lst', empty: true },
      ],
      inventory: join(root, 'nodes.yaml'),
      renderThreads: 4,
      renderTimeoutMs: 1000,
      fleet: true,
      follow: [
        { channel: 'rack/rescue', from: 'oci+http://127.0.0.1:5000/rescue', everyMs: 300_000, isPromoted: true },
      ],
      registryAuthFile: join(root, 'registry.json'),
      registryCaFile: '/etc/ca.pem',
      pins: 'redis+sentinel://one,two:26380/boot',
      pinsPrefix: 'hall',
      pinsPasswordFile: join(root, 'pins-password'),
      pinsCaFile: '/etc/pins.pem',
      apiToken: '0123456789abcdefg',
      apiTokenFile: join(root, 'token'),
      drainMs: 5000,
      logLevel: 'debug',
      logFormat: 'pretty',
      hint: false,
    });
    expect(Object.keys(values).toSorted()).toEqual(Object.keys(SETTINGS).toSorted());
  });

  it.each([
    ['admin: false\n', { admin: false }],
    ['listen: 127.0.0.1:6969\n', { listen: [{ address: '127.0.0.1', port: 6969 }] }],
    ['cacheBytes: 1048576\ndrain: 0\n', { cacheBytes: 1_048_576, drainMs: 0 }],
    ['# only comments\n', {}],
    ['---\n...\n', {}],
    ['\ufeffworkers: 2\r\nhint: true\r\n', { workers: 2, hint: true }],
    ['sessions: &n 7\nqueue: *n\n', { sessions: 7, queue: 7 }],
  ])('%j is fine', (text, values) => {
    const file = join(folder(), 'c.yaml');
    writeFileSync(file, text);
    expect(readConfig(file).values).toEqual(values);
  });

  it.each([
    ['', 'c.yaml:1: expected settings such as "root: DIR", got an empty file'],
    [' \n\n', 'c.yaml:1: expected settings such as "root: DIR", got an empty file'],
    ['- a\n', 'c.yaml:1: expected settings such as "root: DIR", got no map'],
    ['\n\njust words\n', 'c.yaml:3: expected settings such as "root: DIR", got no map'],
    ['root: .\nworker: 3\n', 'c.yaml:2: worker: expected a known key (did you mean workers?), got an unknown key'],
    ['drian: 5s\n', 'c.yaml:1: drian: expected a known key (did you mean drain?), got an unknown key'],
    ['cache_bytes: 3\n', 'c.yaml:1: cache_bytes: expected a known key (did you mean cacheBytes?), got an unknown key'],
    ['workers: 1\nworkers: 2\n', 'c.yaml:2: workers: expected once, got a second time'],
    ['workers: many\n', 'c.yaml:1: workers: expected a whole number from 1 to 256, got "many"'],
    ['# c\n\nworkers:\n', 'c.yaml:3: workers: expected a whole number from 1 to 256, got nothing'],
    ['workers: [1]\n', 'c.yaml:1: workers: expected a whole number from 1 to 256, got [1]'],
    ['workers: {a: 1}\n', 'c.yaml:1: workers: expected a whole number from 1 to 256, got a map'],
    ['workers: "\\e[31m"\n', 'c.yaml:1: workers: expected a whole number from 1 to 256, got "\\x1b[31m"'],
    ['engine: fast\n', 'c.yaml:1: engine: expected one of auto, linux, portable, got "fast"'],
    ['acknowledgeTimeout: yes\n', 'c.yaml:1: acknowledgeTimeout: expected true or false, got "yes"'],
    ['cacheBytes: 2GB\n', 'c.yaml:1: cacheBytes: expected a size such as 512MiB or 2GiB, got "2GB"'],
    ['drain: 30\n', 'c.yaml:1: drain: expected a duration from 0 to 1h, such as 30s, got 30'],
    ['root:\n', 'c.yaml:1: root: expected a directory, got nothing'],
    ['root: ""\n', 'c.yaml:1: root: expected a directory, got ""'],
    ['admin: true\n', 'c.yaml:1: admin: expected ADDR:PORT such as "127.0.0.1:6970", or false, got true'],
    [
      'listen:\n  - 127.0.0.1:69\n  - 127.0.0.1\n',
      'c.yaml:1: listen: expected ADDR:PORT such as "0.0.0.0:69" or "[::]:69", or a list of them, got "127.0.0.1"',
    ],
    ['logLevel: info\nqueue: 0\nengin: auto\n', 'c.yaml:2: queue: expected a whole number from 1 to 10000000, got 0'],
    ['5: 1\n', `c.yaml:1: expected a key of ${SETTING_LIST.map(({ key }) => key).join(', ')}, got 5`],
    ['? [x]\n: 1\n', `c.yaml:1: expected a key of ${SETTING_LIST.map(({ key }) => key).join(', ')}, got no word`],
  ])('%j is answered with one line', (text, line) => {
    expect(mistake(text)).toBe(line);
  });

  it.each([
    [
      'follow:\n  - {channel: a, from: "oci://registry.example/b"}\n  - {channel: a/b, from: "oci://registry.example/b"}\n',
      'c.yaml:3: follow[2].channel: expected a name that does not nest with that of another channel, got "a/b"',
    ],
    ['follow: x', 'c.yaml:1: follow: expected a list of channels and the tags that they follow, got "x"'],
    ['pins: http://x', `c.yaml:1: pins: expected ${EXPECTED_ADDRESS}, got something else`],
    ['pinsPrefix: "a b"', 'c.yaml:1: pinsPrefix: expected a word of at most 64 letters, digits and . _ - :, got "a b"'],
    [
      'follow:\n  - {channel: a, from: "oci://registry.example/boot", move: never}\n',
      'c.yaml:2: follow[1].move: expected followed or promoted, got "never"',
    ],
    [
      'follow:\n  - {channel: a, from: "oci://registry.example/Boot"}\n',
      'c.yaml:2: follow[1].from: expected a tag such as oci://registry.example/boot/install:stable, got "oci://registry.example/Boot"',
    ],
    ['routes: x', 'c.yaml:1: routes: expected a list of routes, got "x"'],
    [
      'routes:\n  - {match: a, empty: true}\n  - x\n',
      'c.yaml:3: routes[2]: expected a route such as {match: "x/{mac}", template: FILE}, got "x"',
    ],
    [
      'routes:\n  - match: a\n    templat: x\n',
      'c.yaml:3: routes[1].templat: expected a known key (did you mean template?), got an unknown key',
    ],
    [
      'routes:\n  - match: a\n',
      'c.yaml:2: routes[1]: expected one of template, handler, upstream, rewrite, empty, refuse, got none of them',
    ],
    [
      'routes:\n  - match: a\n    empty: true\n    refuse: no\n',
      'c.yaml:4: routes[1].refuse: expected one of template, handler, upstream, rewrite, empty, refuse, got empty and refuse',
    ],
    [
      'routes:\n  - empty: true\n',
      'c.yaml:2: routes[1].match: expected a name with captures, such as "pxelinux.cfg/01-{mac}" (in quotes), got nothing',
    ],
    [
      'routes:\n  - match: {mac}\n    empty: true\n',
      'c.yaml:2: routes[1].match: expected a name with captures, such as "pxelinux.cfg/01-{mac}" (in quotes), got a map',
    ],
    ['routes:\n  - match: a\n    empty: false\n', 'c.yaml:3: routes[1].empty: expected true, got false'],
    [
      'routes:\n  - {match: a, empty: true}\n  - {match: a, template: x, timeout: 5}\n',
      'c.yaml:3: routes[2].timeout: expected a duration from 1ms to 10m, such as 2s, got 5',
    ],
    [
      'routes:\n  - {match: a, template: x, when: [a]}\n',
      'c.yaml:2: routes[1].when: expected labels such as {role: compute}, got ["a"]',
    ],
    [
      'routes:\n  - match: a\n    template: x\n    when:\n      role: [b]\n',
      'c.yaml:5: routes[1].when.role: expected a text, got ["b"]',
    ],
    [
      'routes:\n  - {match: a, template: x, onFailure: retry}\n',
      'c.yaml:2: routes[1].onFailure: expected one of silent, error, next, got "retry"',
    ],
  ])('with a route like %j is answered with one line', (text, line) => {
    expect(mistake(text)).toBe(line);
  });

  it('keeps label 00001234 as it is written: names are the text in the file', () => {
    const names = ['00001234', '100000e3', '1.10', '0x1F', '7', 'no'];
    const root = folder();
    const file = join(root, 'c.yaml');
    for (const name of names) {
      const list = 'stageZero: [NAME, a]\ninventory: NAME\nroutes:\n';
      const route = '  - { match: NAME, template: NAME, channel: NAME, when: { rack: NAME, NAME: True } }\n';
      writeFileSync(file, (list + route).replaceAll('NAME', name));
      expect(readConfig(file).values).toMatchObject({
        stageZero: [name, 'a'],
        inventory: join(root, name),
        routes: [{ match: name, template: name, channel: name, when: { rack: name, [name]: 'True' } }],
      });
    }
    expect(mistake('sessions: 1e3\n')).toBe('c.yaml:1: sessions: expected a whole number from 1 to 1000000, got "1e3"');
  });

  it.each([
    ['__proto__: {workers: 3}\n', /^c\.yaml:1: __proto__: expected a key of .*, got an unknown key$/],
    ['a: [1\n', /^c\.yaml:2: expected YAML, got /],
    ['\tworkers: 1\n', /^c\.yaml:1: expected YAML, got .*Tabs/],
    ['workers: 1\n---\nworkers: 2\n', /^c\.yaml:2: expected YAML, got a second document/],
    ['workers: !x 3\n', /^c\.yaml:1: expected YAML, got .*Unresolved tag/],
    ['listen: [::]:69\n', /^c\.yaml:1: expected YAML, got .*\(an IPv6 address needs quotes: "\[::\]:69"\)$/],
    ['listen:\n  - [::1]:6969\n', /^c\.yaml:2: expected YAML, got .*needs quotes/],
    ['workers: *nothing\n', /^c\.yaml: expected every alias after its anchor/],
    [`root: ${'['.repeat(20_000)}\n`, /^c\.yaml.*expected YAML, got/],
    [Uint8Array.of(0xff, 0xfe, 0x00, 0x01), /^c\.yaml:1: expected settings/],
    ['x'.repeat(2 ** 20 + 1), /^c\.yaml: expected at most 1048576 characters, got 1048577$/],
  ])('%.30j is answered with one line that says where', (text, line) => {
    expect(mistake(text)).toMatch(line);
  });

  it('whose aliases multiply is rejected before it takes memory', () => {
    const levels = Array.from({ length: 30 }, (_, n) => `k${n}: &a${n} [${`*a${n - 1},`.repeat(n === 0 ? 0 : 9)}]`);
    expect(mistake(`${levels.join('\n')}\nlisten: *a29\n`)).toBe('c.yaml: expected at most 16 aliases, got 262');
  });

  it('that is missing or a directory is named with the reason', () => {
    const root = folder();
    expect(() => readConfig(join(root, 'none.yaml'))).toThrow(/none\.yaml: expected a config file, got ENOENT$/);
    expect(() => readConfig(root)).toThrow(/: expected a config file, got EISDIR$/);
  });
});
