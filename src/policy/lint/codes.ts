/**
 * The codes of `netsim policy lint`. Stable: one that is given up is not used again.
 *
 *   NP0xx how it is written   NP1xx selectors   NP2xx ports   NP3xx addresses   NP4xx what the policies do together   NP5xx tiers   NP6xx the engine
 */
export const LINT_CODES = [
  'NP001',
  'NP002',
  'NP003',
  'NP004',
  'NP005',
  'NP006',
  'NP101',
  'NP102',
  'NP103',
  'NP104',
  'NP105',
  'NP106',
  'NP107',
  'NP201',
  'NP202',
  'NP203',
  'NP204',
  'NP301',
  'NP302',
  'NP303',
  'NP304',
  'NP305',
  'NP306',
  'NP307',
  'NP401',
  'NP402',
  'NP403',
  'NP404',
  'NP405',
  'NP406',
  'NP407',
  'NP408',
  'NP409',
  'NP410',
  'NP501',
  'NP502',
  'NP601',
  'NP602',
  'NP603',
  'NP604',
] as const

export type LintCode = (typeof LINT_CODES)[number]
