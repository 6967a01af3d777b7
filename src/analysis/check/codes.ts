/**
 * The codes of `netsim check`. Stable: one that is given up is not used again.
 *
 *   NM0xx the network model   NM1xx hosts and the underlay   NM2xx addresses   NM3xx sizes   NM4xx Services   NM5xx ports   NM6xx policies and probes
 */
export const CODES = [
  'NM001',
  'NM002',
  'NM003',
  'NM004',
  'NM005',
  'NM101',
  'NM102',
  'NM103',
  'NM104',
  'NM105',
  'NM106',
  'NM107',
  'NM201',
  'NM202',
  'NM203',
  'NM204',
  'NM205',
  'NM301',
  'NM302',
  'NM401',
  'NM402',
  'NM403',
  'NM501',
  'NM601',
  'NM602',
  'NM603',
  'NM604',
  'NM605',
  'NM606',
] as const

export type Code = (typeof CODES)[number]
