/** Schema of `follow` in a config file: the channels that follow a tag in a registry. Asks no registry. */
import { z } from 'zod';
import { checkApart, checkChannelName } from '../boot-set/store/channel-name.ts';
import { parseReference } from '../registry/reference.ts';
import { showValue } from '../text/escape.ts';
import { fieldOf } from './value-field.ts';
import { DAY_MS, duration, type SettingKind } from './value-kind.ts';

/** @limit Channels that follow a registry. Setting: `follow`. Shows: an error message. */
const MAX_FOLLOWED = 64;
const DEFAULT_EVERY_MS = 30_000;
/** Values of `move`: the tag moves the channel, or `reveille promote` does. */
const MOVES = ['followed', 'promoted'] as const;

export interface FollowConfig {
  readonly channel: string;
  /** Name of the tag, such as `oci://registry.example/boot/install:stable`. */
  readonly from: string;
  /** Time between two questions, in milliseconds. */
  readonly everyMs: number;
  /** False: the channel moves when the tag does. True: the version is staged, and moves by `reveille promote`. */
  readonly isPromoted: boolean;
}

/** A text that `check` accepts; it throws an error otherwise. */
function checked(expected: string, check: (text: string) => void): z.ZodType<string> {
  return z.string({ error: expected }).transform((text, context) => {
    try {
      check(text);
      return text;
    } catch {
      context.addIssue({ code: 'custom', message: expected, params: { got: showValue(text) } });
      return z.NEVER;
    }
  });
}

const FOLLOW = z.strictObject(
  {
    channel: checked('a channel such as maas/amd64/precise/install', checkChannelName),
    from: checked('a tag such as oci://registry.example/boot/install:stable', (text) => {
      if (parseReference(text).target.startsWith('sha256:')) throw new Error('a digest never changes');
    }),
    every: fieldOf(duration(1000, DAY_MS, '30s')).optional(),
    move: z.enum(MOVES, { error: 'followed or promoted' }).optional(),
  },
  {
    error: (issue) =>
      issue.code === 'invalid_type'
        ? 'a channel and a tag such as {channel: install, from: "oci://registry.example/boot/install:stable"}'
        : undefined,
  },
);

/** Keys of an entry, for suggestions on misspelled ones. */
export const FOLLOW_KEYS: readonly string[] = Object.keys(FOLLOW.shape);

const EXPECTED = 'a list of channels and the tags that they follow';

const FOLLOWS = z
  .array(FOLLOW, { error: EXPECTED })
  .max(MAX_FOLLOWED, { error: `at most ${MAX_FOLLOWED} channels` })
  .refine((list) => new Set(list.map(({ channel }) => channel)).size === list.length, { error: 'each channel once' })
  .superRefine((list, context) => {
    for (const [at, { channel }] of list.entries()) {
      try {
        // A store refuses such channels, and the second one could never be pulled.
        checkApart(
          channel,
          list.slice(0, at).map((before) => before.channel),
        );
      } catch {
        context.addIssue({
          code: 'custom',
          path: [at, 'channel'],
          message: 'a name that does not nest with that of another channel',
        });
      }
    }
  })
  .transform((list): readonly FollowConfig[] =>
    list.map(({ channel, from, every = DEFAULT_EVERY_MS, move }) => ({
      channel,
      from,
      everyMs: every,
      isPromoted: move === 'promoted',
    })),
  );

export const followList: SettingKind<readonly FollowConfig[]> = {
  expected: EXPECTED,
  parts: FOLLOWS,
  read: (value) => FOLLOWS.safeParse(value).data,
};
