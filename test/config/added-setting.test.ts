/** A setting declared in one place is everywhere: in code, help, flags, config file, schema and documents. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, it, vi } from 'vitest';
import { PAGE_FILE, schemaText, withSettings } from '../../scripts/settings-texts.ts';
import { addServe } from '../../src/cli/serve.ts';
import { readConfig } from '../../src/config/config-file.ts';
import { resolveSettings } from '../../src/config/resolve-settings.ts';
import { Interrupts } from '../../src/daemon/interrupts.ts';
import { read } from '../support/pages.ts';
import { folder } from '../support/reveille.ts';

vi.mock('../../src/config/network-settings.ts', async (original) => {
  const { section, setting } = await import('../../src/config/setting.ts');
  const { duration } = await import('../../src/config/value-kind.ts');
  const { OPTIONS, ...others } = await original<typeof import('../../src/config/network-settings.ts')>();
  const steepMs = setting({
    key: 'steep',
    kind: duration(1000, 600_000, '4m'),
    default: 240_000,
    help: 'how long tea is drawn',
    docs: ['How long [tea](boot-sets.md) is drawn.', 'RFC 2324 gives no time.'],
  });
  return { ...others, OPTIONS: { ...OPTIONS, ...section('Tea', { steepMs }) } };
});

it('a setting declared in one place is everywhere', async () => {
  const program = new Command().exitOverride();
  addServe(program, { interrupts: new Interrupts(), stderr: process.stderr, version: '0' }, () => {});
  const help = program.commands[0]!.helpInformation();
  expect(help).toMatch(/^Tea:\n {2}--steep <TIME> +how long tea is drawn \(default: 4m\)$/m);
  await expect(program.parseAsync(['serve', '--steep', '5'], { from: 'user' })).rejects.toThrow(
    '--steep: expected a duration from 1s to 10m, such as 4m, got "5"',
  );

  const root = folder();
  const file = join(root, 'c.yaml');
  expect(resolveSettings({ root }, undefined)).toMatchObject({ steepMs: 240_000 });
  writeFileSync(file, 'root: .\nsteep: 90s\n');
  expect(resolveSettings({}, file)).toMatchObject({ steepMs: 90_000 });
  writeFileSync(file, 'steep: 11m\n');
  expect(() => readConfig(file)).toThrow(
    /c\.yaml:1: steep: expected a duration from 1s to 10m, such as 4m, got "11m"$/,
  );
  writeFileSync(file, 'stepp: 5m\n');
  expect(() => readConfig(file)).toThrow(/did you mean steep\?/);

  const { properties } = JSON.parse(schemaText()) as { properties: Record<string, unknown> };
  expect(properties['steep']).toMatchObject({
    description: 'How long tea is drawn. RFC 2324 gives no time.',
    type: 'string',
    default: '4m',
  });
  expect(withSettings(read(PAGE_FILE))).toContain(`### Tea

| key | flag | default | allowed | what it does |
|---|---|---|---|---|
| \`steep\` | \`--steep\` | \`4m\` | a duration from 1s to 10m, such as 4m | How long [tea](boot-sets.md) is drawn. RFC 2324 gives no time. |
`);
});
