/** The wire format: RFC 1350, 1123 §4.2, 2347, 2348, 2349, 7440, and tftp-hpa's blksize2, utimeout and rollover. */
export * from './block.ts';
export * from './encode.ts';
export {
  type Accepted,
  acceptOack,
  BLKSIZE_DEFAULT,
  type GrantedOption,
  MAX_BLKSIZE as BLKSIZE_MAX,
  MAX_WINDOWSIZE as WINDOWSIZE_MAX,
  MIN_BLKSIZE as BLKSIZE_MIN,
  negotiate,
  type Negotiation,
  type NegotiationLimits,
  type Settled,
  UNNEGOTIATED,
  type Wish,
} from './negotiate.ts';
export * from './netascii.ts';
export * from './opcode.ts';
export * from './packet.ts';
export * from './request.ts';
