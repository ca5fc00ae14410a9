/** Storms against servers that fall silent. They last as long as the firmware's patience, so they run concurrently. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CAMPAIGN } from '../support/content.ts';
import { folder } from '../support/reveille.ts';
import { BOOT, idsOf, planted } from './storm-fixture.ts';

describe.concurrent('reveille storm against a server that falls silent', { timeout: 60_000 }, () => {
  it.runIf(CAMPAIGN)('names a server that never sends a lost packet again', async ({ onTestFinished }) => {
    const plan = join(folder(onTestFinished), 'plan.yaml');
    writeFileSync(plan, 'name: lossy\nstages:\n  - { name: kernel, profile: ipxe, file: linux }\n');
    const args = ['--nodes', '2', '--plan', plan, '--lose', 'data 20', '--arrival', 'waves:1@3s'];
    args.push('--slo', 'failed=0');
    const { code, report } = await planted({ neverResends: true }, args, onTestFinished);
    expect(report.failed).toBe(2);
    expect(report.injected.lost).toBe(2);
    expect(idsOf(report)).toContain('no-retransmission');
    expect(code).toBe(1);
  });

  it('ends in a report when the server dies in the middle', async ({ onTestFinished }) => {
    const args = ['--nodes', '10', '--profile', 'ipxe', ...BOOT];
    const { code, report } = await planted({ diesAfter: 12 }, args, onTestFinished);
    expect(report.failed).toBeGreaterThan(0);
    expect(report.completed + report.failed).toBe(10);
    expect(report.failures.length).toBeGreaterThan(0);
    expect(code).toBe(1);
  });
});
