/** Every example serves, and all nodes boot from it, known and unknown ones. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { storm } from '../cli/storm-fixture.ts';
import { runBuilt } from '../support/command.ts';
import { EXAMPLES, ExampleServer } from './fixture.ts';

const CLIENTS = ['pxelinux', 'grub-bios', 'grub-uefi', 'ipxe', 'u-boot', 'raspberry-pi'];

describe.each(CLIENTS)('examples/%s', (name) => {
  const folder = join(EXAMPLES, name);

  it('is valid', { timeout: 120_000 }, async () => {
    const { code, stdout, stderr } = await runBuilt(['validate', '--config', join(folder, 'reveille.yaml')]);
    expect({ code, stderr, last: stdout.trim().split('\n').at(-1) }).toEqual({ code: 0, stderr: '', last: 'valid' });
  });

  it('boots the nodes of its plan', { timeout: 120_000 }, async () => {
    const server = await ExampleServer.start(join(folder, 'reveille.yaml'));
    const plan = ['--plan', join(folder, 'storm.yaml'), '--nodes', '20', '--arrival', 'burst'];
    const { code, report, stderr } = await storm(server.port, [...plan, '--slo', 'failed=0,violations=0']);
    expect({ stderr, failures: report.failures, violations: report.violations }).toEqual({
      stderr: '',
      failures: [],
      violations: [],
    });
    expect([code, report.completed]).toEqual([0, 20]);
  });
});
