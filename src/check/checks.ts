/** Every check, in the order of the statements. */
import type { Check } from './check.ts';
import { BLOCK_CHECKS } from './blocks.ts';
import { END_CHECKS } from './ends.ts';
import { NAME_CHECKS } from './names.ts';
import { NETASCII_CHECKS } from './netascii.ts';
import { OPENING_CHECKS } from './opening.ts';
import { OPTION_CHECKS } from './options.ts';
import { REQUEST_CHECKS } from './requests.ts';
import { WINDOW_CHECKS } from './windows.ts';
import { WRAP_CHECKS } from './wrap.ts';

export const CHECKS: readonly Check[] = [
  ...REQUEST_CHECKS,
  ...NAME_CHECKS,
  ...OPTION_CHECKS,
  ...OPENING_CHECKS,
  ...BLOCK_CHECKS,
  ...WRAP_CHECKS,
  ...WINDOW_CHECKS,
  ...END_CHECKS,
  ...NETASCII_CHECKS,
].toSorted((a, b) => a.number - b.number);
