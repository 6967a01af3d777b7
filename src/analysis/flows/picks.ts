/** How chance picks who is spoken to; for the command line, which knows these before it loads anything else. */
export const PICKS = ['uniform', 'zipf'] as const
export type Pick = (typeof PICKS)[number]
