/**
 * The codes of `netsim drift`. Stable: one that is given up is not used again.
 *
 *   ND1xx devices and addresses   ND2xx routes and rules of routing   ND3xx neighbours and FDB   ND4xx sysctls   ND5xx iptables   ND6xx ipsets
 *   ND7xx another CNI             ND8xx what the cluster says of the node   ND9xx pods
 */
export const DRIFT_CODES = [
  'ND101',
  'ND102',
  'ND103',
  'ND104',
  'ND105',
  'ND106',
  'ND107',
  'ND108',
  'ND201',
  'ND202',
  'ND203',
  'ND204',
  'ND205',
  'ND206',
  'ND301',
  'ND302',
  'ND303',
  'ND304',
  'ND305',
  'ND306',
  'ND307',
  'ND308',
  'ND401',
  'ND501',
  'ND502',
  'ND503',
  'ND504',
  'ND505',
  'ND506',
  'ND507',
  'ND508',
  'ND601',
  'ND602',
  'ND603',
  'ND604',
  'ND701',
  'ND702',
  'ND801',
  'ND802',
  'ND803',
  'ND901',
  'ND902',
  'ND903',
] as const

export type DriftCode = (typeof DRIFT_CODES)[number]
