/** Sender and receiver: they decide what happens next in a transfer, without IO and without a clock. */
export * from './pace.ts';
export * from './receiver.ts';
export * from './retransmission.ts';
export * from './sender.ts';
export * from './sender-limits.ts';
export * from './session.ts';
