/** The commands on a store. */

/** Every command on a store, with arguments that fit a channel `a` of two versions; `set` is a folder to publish. */
export function everyCommand(store: string, set: string): string[][] {
  return [
    ['channels'],
    ['versions', 'a'],
    ['verify'],
    ['pins'],
    ['gc', '--dry-run'],
    ['gc', '--grace', '0'],
    ['publish', 'a', set],
    ['keep', 'a-1'],
    ['channel', 'a', '--pin-idle', '5m'],
    ['rollback', 'a', '1'],
    ['rollout', 'a', 'a-2', '--percent', '5'],
    ['rollout', 'a', '--abort'],
    ['pin', '52:54:00:12:34:56', 'a-1'],
    ['pins', '--drop', '52:54:00:12:34:56'],
    ['pin', '52:54:00:12:34:56', 'a', '--drop'],
    ['store', 'rebuild'],
    ['remove', 'a-2'],
    ['gc', '--grace', '0'],
  ].map((args) => [...args, '--store', store]);
}
