/** The systemd unit of the package, from deploy/reveille.service: only paths and the user differ. */

/** Pieces of the unit in deploy, and what stands in their place. Each must occur exactly once. */
const CHANGES: readonly (readonly [string, string])[] = [
  [
    '# A systemd unit for Reveille in /opt/reveille (git clone, npm ci, npm run build), configured by /etc/reveille.yaml.\n',
    '# The systemd unit of the package. To change it: systemctl edit reveille.\n',
  ],
  [
    'Documentation=file:/opt/reveille/docs/operations.md\n',
    'Documentation=man:reveille(1) man:reveille.yaml(5) file:/usr/share/doc/reveille/docs/operations.md\n',
  ],
  ['ExecStart=/usr/bin/node ', 'ExecStart=/usr/lib/reveille/bin/node --use-system-ca '],
  [' /opt/reveille/dist/cli/main.js ', ' /usr/lib/reveille/dist/cli/main.js '],
  [' --config /etc/reveille.yaml\n', ' --config /etc/reveille/reveille.yaml\n'],
  // The package creates the user, so that people can publish as this user: DynamicUser would hide the state from them.
  ['DynamicUser=yes\n', 'User=reveille\n'],
];

/** @throws {Error} if the unit in deploy no longer has one of the pieces. */
export function packagedUnit(unit: string): string {
  return CHANGES.reduce((text, [from, to]) => {
    if (text.split(from).length !== 2)
      throw new Error(`deploy/reveille.service: expected exactly one ${JSON.stringify(from)}`);
    return text.replace(from, () => to);
  }, unit);
}
