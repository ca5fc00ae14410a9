/** The man page of the config file, from the table of settings. */
import type { Setting } from '../../src/config/setting.ts';
import { SETTING_LIST } from '../../src/config/settings.ts';
import { shownDefault, withoutLinks } from '../../scripts/settings-texts.ts';
import { type Edition, type ManPage, reference } from './man-pages.ts';
import { bold, example, prose, section, subheading, tagged, title } from './roff.ts';

const DESCRIPTION = [
  'The config file of `reveille serve` is YAML. Each key is optional, and flags on the command line win over the file. An unknown key is a mistake, and so is a key that occurs twice. Relative paths are relative to the folder of the file.',
  'A list of one element may be written as the element alone.',
  'A running server reads the file again when it changes, and on SIGHUP (`systemctl reload reveille`). It applies the keys marked “live” at once and the others at the next start. `reveille validate --config FILE` checks a file without serving.',
];

function entryOf(setting: Setting<unknown>): string {
  const { key, kind, spelling, offFlag, from, docs, isLive } = setting;
  const flags = from === undefined ? [spelling, offFlag].filter((flag) => flag !== undefined) : [];
  const facts = [
    `Value: ${kind.expected}.`,
    `Default: ${shownDefault(setting)}.`,
    ...(flags.length > 0 ? [`Flags: ${flags.map((flag) => `\`${flag}\``).join(', ')}.`] : []),
    ...(isLive === true ? ['Live.'] : []),
  ];
  return tagged(bold(key), [...docs.map(withoutLinks), ...facts].map(prose).join('\n'));
}

/** @param configFile path of the config file that the package installs. */
export function settingsPage(edition: Edition, configFile: string): ManPage {
  const headings = [...new Set(SETTING_LIST.map((setting) => setting.section))];
  const keys = headings.flatMap((heading) => [
    subheading(heading),
    ...SETTING_LIST.filter((setting) => setting.section === heading).map(entryOf),
  ]);
  const name = 'reveille.yaml';
  const lines = [
    title(name, 5, edition.day, edition.version),
    ...section('Name', [`${name} \\- config file of the TFTP server Reveille`]),
    ...section('Synopsis', [bold(configFile)]),
    ...section('Description', DESCRIPTION.map(prose)),
    ...section('Keys', keys),
    ...section('Examples', [
      'A server for one directory and a store of boot sets, with HTTP:',
      example(['root: /srv/tftp', 'store: /var/lib/reveille/store', 'http: "0.0.0.0:80"']),
    ]),
    ...section('Files', [
      tagged(bold(configFile), prose('The file that the systemd unit uses.')),
      tagged(bold('/usr/share/reveille/reveille.schema.json'), prose('A JSON Schema of the file, for editors.')),
      tagged(bold('/usr/share/doc/reveille'), prose('Documents: boot-configs.md describes routes and templates.')),
    ]),
    ...section('See also', [
      `${reference('reveille', 1)}, ${reference('reveille-serve', 1)}, ${reference('reveille-validate', 1)}`,
    ]),
  ];
  return { name: `${name}.5`, text: `${lines.join('\n')}\n` };
}
