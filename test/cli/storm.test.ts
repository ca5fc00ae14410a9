/**
 * The built command: storms against servers with one planted fault each and against our own server, and invalid command
 * lines.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StormReport } from '../../src/storm/report.ts';
import { PlantedServer } from '../support/planted-server.ts';
import { runCommand } from '../support/command.ts';
import { folder, Reveille } from '../support/reveille.ts';
import {
  BOOT,
  FILES,
  idsOf,
  INITRD,
  KERNEL,
  OTHER_INITRD,
  planted,
  rightFiles,
  storm,
  STRICT,
} from './storm-fixture.ts';

describe('reveille storm', { timeout: 60_000 }, () => {
  it('finds no fault in a correct server', async () => {
    const { code, report } = await planted({}, [
      '--nodes',
      '20',
      '--profile',
      'ipxe',
      ...BOOT,
      '--verify',
      rightFiles(),
      '--slo',
      'failed=0,wrong_bytes=0,violations=0',
    ]);
    expect(report).toMatchObject({
      schema: 'reveille-storm/1',
      nodes: 20,
      completed: 20,
      failed: 0,
      unfinished: 0,
      wrong_bytes: 0,
      mixed_versions: null,
      bytes: 20 * (KERNEL.length + INITRD.length),
      violations: [],
      failures: [],
      duplicate_tids: 0,
      injected: { lost: 0, duplicated: 0, reordered: 0, delayed: 0, vanished_nodes: 0 },
    });
    expect(report.stages.map(({ name, completed, files }) => [name, completed, files])).toEqual([
      ['linux', 20, 20],
      ['initrd.img', 20, 20],
    ]);
    expect(report.first_reply_ms!.p50).toBeGreaterThan(0);
    expect(report.finish_s!.max).toBeGreaterThanOrEqual(report.finish_s!.p50);
    expect(code).toBe(0);
  });

  it('names a byte that is wrong', async () => {
    const server = await PlantedServer.start(FILES, { corruptOneIn: 1_000_000 });
    onTestFinished(() => server.close());
    const args = ['--nodes', '10', '--profile', 'bare', ...BOOT, '--verify', rightFiles()];
    const { code, report, stdout } = await storm(server.port, args);
    expect(server.spoiled).toBeGreaterThan(1);
    expect(report.wrong_bytes).toBe(server.spoiled);
    expect(report.violations.find(({ id }) => id === 'wrong-bytes')).toMatchObject({ count: server.spoiled });
    expect(report.completed).toBe(10);
    expect(code).toBe(1);
    expect(stdout).toContain('wrong');
  });

  it('names a packet from a wrong port', async () => {
    const { code, report } = await planted({ wrongPort: true }, ['--nodes', '3', '--file', 'linux', ...STRICT]);
    expect(idsOf(report)).toContain('tid-changed');
    expect(report.violations.find(({ id }) => id === 'tid-changed')!.clause).toBe('RFC 1350 §4');
    expect(code).toBe(1);
  });

  it('names a request that was answered from two ports', async () => {
    const { code, report } = await planted({ twoPorts: true }, [
      '--nodes',
      '3',
      '--profile',
      'ipxe',
      '--file',
      'linux',
      ...STRICT,
    ]);
    expect(report.duplicate_tids).toBe(3);
    expect(idsOf(report)).toContain('duplicate-tid');
    expect(code).toBe(1);
  });

  it('names nodes whose files are of two versions', async () => {
    const versions = folder();
    for (const [version, initrd] of [
      ['1', INITRD],
      ['2', OTHER_INITRD],
    ] as const) {
      mkdirSync(join(versions, version));
      writeFileSync(join(versions, version, 'linux'), Buffer.concat([KERNEL, Buffer.from(version)]));
      writeFileSync(join(versions, version, 'initrd.img'), initrd);
    }
    const files = new Map([
      ['linux', Buffer.concat([KERNEL, Buffer.from('1')])],
      ['initrd.img', INITRD],
    ]);
    const server = await PlantedServer.start(files, {
      mixed: { name: 'initrd.img', every: 4, content: OTHER_INITRD },
    });
    onTestFinished(() => server.close());
    const { code, report } = await storm(server.port, ['--nodes', '12', ...BOOT, '--versions', versions]);
    expect(report).toMatchObject({ completed: 12, wrong_bytes: 0, mixed_versions: 3 });
    expect(idsOf(report)).toContain('mixed-versions');
    expect(code).toBe(1);
  });

  it('boots in spite of the same loss from a server that retransmits', async () => {
    const args = ['--nodes', '2', '--profile', 'grub', '--file', 'linux', '--lose', 'data 20 x2'];
    const { code, report } = await planted({}, [
      ...args,
      ...STRICT.map((text) => text.replace(/,wrong.*versions=0/, '')),
    ]);
    expect(report).toMatchObject({ completed: 2, failed: 0, violations: [] });
    expect(report.injected.lost).toBe(4);
    expect(code).toBe(0);
  });

  it('names a server that acts on a second ACK', async () => {
    const args = ['--nodes', '3', '--profile', 'ipxe', '--file', 'linux', '--slo', 'failed=0,violations=0'];
    const { code, report } = await planted({ actsOnDuplicateAcks: true }, args);
    expect(report.violations.find(({ id }) => id === 'acts-on-duplicate-ack')).toMatchObject({
      clause: 'RFC 1123 §4.2.3.1',
    });
    expect(report.retransmits.server).toBeGreaterThan(0);
    expect(code).toBe(1);
    const without = await planted({ actsOnDuplicateAcks: true }, [...args, '--no-doubled-acks']);
    expect(without.code).toBe(0);
  });

  it('names a wrong tsize', async () => {
    const args = ['--nodes', '1', '--profile', 'ipxe', '--file', 'linux', '--slo', 'violations=0'];
    const { code, report } = await planted({ tsizeOff: 1 }, args);
    expect(idsOf(report)).toEqual(['tsize-wrong']);
    expect(code).toBe(1);
  });

  it('ends with a report when the server port is closed', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    socket.close();
    await once(socket, 'close');
    const { code, report } = await storm(port, ['--nodes', '5', '--profile', 'grub', '--file', 'linux']);
    expect(report).toMatchObject({ completed: 0, failed: 5 });
    expect(report.failures[0]!.reason).toBe("nobody listens on the server's port");
    expect(code).toBe(1);
  });

  it('ends on a signal, with the report so far', async () => {
    const server = await PlantedServer.start(FILES);
    onTestFinished(() => server.close());
    const json = join(folder(), 'report.json');
    const args = ['--nodes', '50', '--profile', 'bare', '--file', 'linux', '--arrival', 'ramp:10m', '--json', json];
    const command = new Reveille(['storm', `127.0.0.1:${server.port}`, ...args]);
    await command.saying(/1 .*/);
    command.process.kill('SIGINT');
    const { code } = await command.ended;
    const report = JSON.parse(readFileSync(json, 'utf8')) as StormReport;
    expect(report.unfinished).toBe(50 - report.completed);
    expect(report.failed).toBe(0);
    expect(code).toBe(1);
  });

  it('keeps an existing report if the storm never begins', async () => {
    const json = join(folder(), 'report.json');
    writeFileSync(json, 'the last one');
    const args = ['--nodes', '1', '--file', 'linux', '--json', json, '--html', '/no/such/directory/x.html'];
    const { code } = await runCommand(['storm', '127.0.0.1:9', ...args]);
    expect([code, readdirSync(dirname(json)), readFileSync(json, 'utf8')]).toEqual([
      2,
      ['report.json'],
      'the last one',
    ]);
  });

  it.each([
    [['--nodes', '0', '--file', 'x'], '--nodes'],
    [['--nodes', '5'], '--file NAME'],
    [['--nodes', '5', '--file', 'x', '--profile', 'acme'], '--profile'],
    [['--nodes', '5', '--file', 'x', '--plan', 'y'], '--plan'],
    [['--nodes', '5', '--plan', 'no-such-plan.yaml'], 'no-such-plan.yaml'],
    [['--nodes', '5', '--file', 'x', '--verify', '/no/such/directory'], '--verify'],
    [['--nodes', '5', '--file', 'not-there', '--verify', '.'], 'not-there'],
    [['--nodes', '5', '--file', 'x', '--loss', 'much'], '--loss'],
    [['--nodes', '5', '--file', 'x', '--slo', 'failed<many'], 'failed<'],
    [['--nodes', '5', '--file', 'x', '--arrival', 'soon'], '--arrival'],
    [['--nodes', '5', '--file', 'x', '--admin', 'http://127.0.0.1/'], '--admin'],
    [['--nodes', '5', '--file', '{who}'], '{who}'],
    [['--nodes', '5', '--file', 'x', '--profile', 'ipxe,acme'], '"acme"'],
    // Regression: these mistakes used to be reported only after the storm.
    [['--nodes', '5', '--file', 'x', '--json', '/no/such/directory/x.json'], '--json'],
    [['--nodes', '5', '--file', 'x', '--html', '/'], '--html'],
    [['--nodes', '5', '--file', 'x', '--json', '-', '--html', '-'], '--html'],
    // Regression: this used to end the storm without a report. The name fits only into the first profile's request.
    [['--nodes', '5', '--profile', 'bare,windows', '--file', 'n'.repeat(470)], '--file'],
  ])('rejects %j in one line, before any packet', async (args, named) => {
    const heard: Buffer[] = [];
    const socket = createSocket('udp4');
    socket.on('message', (bytes) => heard.push(bytes));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    onTestFinished(() => void socket.close());
    const { code, stderr, stdout } = await runCommand(['storm', `127.0.0.1:${socket.address().port}`, ...args]);
    expect(stderr.split('\n')).toHaveLength(2);
    expect(stderr).toContain(named);
    expect([code, stdout, heard]).toEqual([2, '', []]);
  });
});
