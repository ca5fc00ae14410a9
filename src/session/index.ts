/** What should happen next in a transfer: sender and receiver, without IO and without a clock. */
export * from './pace.ts';
export * from './receiver.ts';
export * from './retransmission.ts';
export * from './sender.ts';
export * from './session.ts';
