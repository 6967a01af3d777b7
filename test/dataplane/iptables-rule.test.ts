/** Rules as the real iptables took and printed them (iptables-vectors.json was recorded, not written), and as kube-proxy, docker and Felix write them. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { applyIptablesCommand, emptyTable } from '../../src/dataplane/iptables-command.js'
import { parseIptablesSave, printIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { IptablesState } from '../../src/dataplane/iptables.js'

const vectors = JSON.parse(readFileSync(new URL('iptables-vectors.json', import.meta.url), 'utf8')) as {
  accepted: [table: string, command: string, printed: string[]][]
  refused: [table: string, command: string, said: string][]
}
const place = { file: 'rules', line: 7 }
const START: IptablesState = {
  tables: [{ ...emptyTable('filter'), chains: [...emptyTable('filter').chains, { name: 'UC', rules: [] }] }],
}

/** Command after command; the state of one is what the next finds, and none is refused. */
function applyAll(commands: readonly string[]): IptablesState {
  return commands.reduce<IptablesState>(
    (before, command) => {
      const { state, problems } = applyIptablesCommand(before, command, place)
      expect(problems).toEqual([])
      return state
    },
    { tables: [] },
  )
}

function ruleLines(state: IptablesState): string[] {
  return printIptablesSave(state)
    .split('\n')
    .filter((line) => line.startsWith('-A'))
}

/** Modules of which netsim knows the name only: kept as written, while the kernel fills in defaults. */
const OPAQUE_DEFAULTS = /-m time|-m connlimit|--set-tos|--set-class|--nflog-range|-m recent --rcheck --rttl/
const NOT_A_PREFIX = /255\.0\.255\.0/

describe('a rule comes out as iptables-save 1.8.9 prints it', () => {
  it.each(vectors.accepted.filter(([, command]) => !OPAQUE_DEFAULTS.test(command) && !NOT_A_PREFIX.test(command)))('-t %s %s', (table, command, printed) => {
    const { state, problems } = applyIptablesCommand(START, `-t ${table} ${command}`, place)
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
    // two -m addrtype in a row are one match to netsim: same meaning, shorter text
    const expected = printed.map((line) => line.replace('--src-type LOCAL -m addrtype --dst-type', '--src-type LOCAL --dst-type'))
    expect(ruleLines(state)).toEqual(expected)
  })

  it.each(vectors.accepted.filter(([, command]) => !NOT_A_PREFIX.test(command)))('its own print is read back: -t %s %s', (table, _command, printed) => {
    const text = `*${table}\n:UC - [0:0]\n${printed.join('\n')}\nCOMMIT\n`
    const { state, problems } = parseIptablesSave(text, place)
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(ruleLines(state)).toEqual(printed.map((line) => line.replace('--src-type LOCAL -m addrtype --dst-type', '--src-type LOCAL --dst-type')))
  })

  it('names what it does not model, and keeps it', () => {
    const { state, problems } = applyIptablesCommand(
      START,
      '-A FORWARD -p tcp -m hashlimit --hashlimit-upto 5/sec --hashlimit-name a -m comment --comment x --dport 80 -j NFQUEUE --queue-num 3',
      place,
    )
    expect(problems.map(({ severity, what }) => [severity, what])).toEqual([
      ['warning', 'the iptables match "hashlimit" is not modelled as it is used here'],
      ['warning', 'the iptables target "NFQUEUE" is not modelled as it is used here'],
    ])
    expect(ruleLines(state)).toEqual([
      '-A FORWARD -p tcp -m hashlimit --hashlimit-upto 5/sec --hashlimit-name a -m comment --comment x -m tcp --dport ' + '80 -j NFQUEUE --queue-num 3',
    ])
  })

  it('refuses a mask that is no prefix, by name', () => {
    const { problems } = applyIptablesCommand(START, '-A FORWARD -s 10.0.0.0/255.0.255.0', place)
    expect(problems).toMatchObject([
      { severity: 'error', file: 'rules', line: 7, what: 'the mask of "10.0.0.0/255.0.255.0" is no prefix, which is not modelled' },
    ])
  })
})

/** Here libxtables refuses what this machine cannot look up (http of udplite) or what no rule of netsim's own can hold. */
const REFUSED_ELSEWHERE = new Set(['-A FORWARD -m owner --uid-owner 3', '-A FORWARD -p udp -m multiport --ports 80,http'])

describe('what iptables refuses is a Problem, and changes nothing', () => {
  it.each(vectors.refused.filter(([, command]) => !REFUSED_ELSEWHERE.has(command)))('-t %s %s', (table, command) => {
    const { state, problems } = applyIptablesCommand(START, `-t ${table} ${command}`, place)
    expect(problems.filter(({ severity }) => severity === 'error').length).toBeGreaterThan(0)
    expect(problems.every(({ file, line }) => file === 'rules' && line === 7)).toBe(true)
    expect(state).toBe(START)
  })
})

describe('agents’ own spellings (kube-proxy, docker, Felix) become iptables-save’s', () => {
  const cases: [string, string][] = [
    ['-t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000', '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000'],
    ['-t nat -A KUBE-MARK-MASQ -j MARK --xor-mark 0x4000', '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x0'],
    ['-t nat -A KUBE-MARK-MASQ -m mark ! --mark 0x4000/0x4000 -j RETURN', '-A KUBE-MARK-MASQ -m mark ! --mark 0x4000/0x4000 -j RETURN'],
    [
      '-t nat -A KUBE-SVC-X -m comment --comment "ns/svc:https cluster IP" -m tcp -p tcp -d 10.105.198.60 --dport 443 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ',
      '-A KUBE-SVC-X ! -s 10.244.0.0/16 -d 10.105.198.60/32 -p tcp -m comment --comment "ns/svc:https cluster IP" -m tcp --dport 443 -j KUBE-MARK-MASQ',
    ],
    [
      '-t nat -A KUBE-SVC-X -m recent --name KUBE-SEP-X --rcheck --seconds 10800 --reap -j KUBE-SEP-X',
      '-A KUBE-SVC-X -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-X --mask 255.255.255.255 --rsource -j KUBE-SEP-X',
    ],
    [
      '-t nat -A KUBE-SVC-X -m statistic --mode random --probability 0.1428571429 -j KUBE-SEP-X',
      '-A KUBE-SVC-X -m statistic --mode random --probability 0.14285714272 -j KUBE-SEP-X',
    ],
    [
      '-t nat -A POSTROUTING --protocol 17 --source 172.17.0.0/16 ! --out-interface docker0 --jump MASQUERADE',
      '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -p udp -j MASQUERADE',
    ],
    [
      '-t nat -A KUBE-SVC-X --match multiport --protocol tcp --source-ports 101,200:300 --goto KUBE-SEP-X',
      '-A KUBE-SVC-X -p tcp -m multiport --sports 101,200:300 -g KUBE-SEP-X',
    ],
    [
      '-t nat -A KUBE-SVC-X -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst --jump MASQUERADE --random-fully',
      '-A KUBE-SVC-X -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -j MASQUERADE --random-fully',
    ],
    ['-t nat -A KUBE-SVC-X --jump MARK --set-mark 0/0x1b0000', '-A KUBE-SVC-X -j MARK --set-xmark 0x0/0x1b0000'],
    ['-t nat -A KUBE-SVC-X --jump LOG --log-prefix "calico-packet: " --log-level 5', '-A KUBE-SVC-X -j LOG --log-prefix "calico-packet: " --log-level 5'],
  ]
  const start = applyAll(['-t nat -N KUBE-MARK-MASQ', '-t nat -N KUBE-SVC-X', '-t nat -N KUBE-SEP-X'])

  it.each(cases)('%s', (command, printed) => {
    const { state, problems } = applyIptablesCommand(start, command, place)
    expect(problems).toEqual([])
    expect(ruleLines(state)).toEqual([printed])
  })
})

describe('commands', () => {
  const run = (...commands: string[]): IptablesState => applyAll(commands)

  it('insert at a number, delete by number and by rule, replace, rename, zero', () => {
    const state = run(
      '-A FORWARD -s 10.0.0.1 -j ACCEPT',
      '-A FORWARD -s 10.0.0.2 -j ACCEPT',
      '-t filter -I FORWARD 2 -p udp --dport 9000 -j DROP',
      '-I FORWARD -j RETURN',
      '-w 5 -D FORWARD -s 10.0.0.2/32 -j ACCEPT',
      '-R FORWARD 2 -s 10.9.0.0/16 -j DROP',
      '-N B',
      '-N A',
      '-A FORWARD -j B',
      '-E B C',
      '-P FORWARD DROP',
      '-D FORWARD 1',
    )
    expect(printIptablesSave(state)).toBe(
      [
        '*filter',
        ':INPUT ACCEPT [0:0]',
        ':FORWARD DROP [0:0]',
        ':OUTPUT ACCEPT [0:0]',
        ':A - [0:0]',
        ':C - [0:0]',
        '-A FORWARD -s 10.9.0.0/16 -j DROP',
        '-A FORWARD -p udp -m udp --dport 9000 -j DROP',
        '-A FORWARD -j C',
        'COMMIT',
        '',
      ].join('\n'),
    )
  })

  it('keeps who did it', () => {
    const { state } = applyIptablesCommand({ tables: [] }, '-A INPUT -j DROP', place, { provenance: { by: 'owner of the host' } })
    expect(state.tables[0].chains[0].rules[0].provenance).toEqual({ by: 'owner of the host' })
  })
})

describe('iptables-save text', () => {
  it('reports all that is wrong with its line, and keeps what is right', () => {
    const text =
      '# made up\n*filter\n:INPUT ACCEPT [3:180]\n:X - [0:0]\n[2:120] -A INPUT -s 10.0.0.1/32 -j X\n-A INPUT --bogus\n-A NOPE -j DROP\n' +
      'what\n:Y DROP [0:0]\n*wrong\n-A INPUT\nCOMMIT\n*nat\n-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:99999\n'
    const { state, problems } = parseIptablesSave(text, { file: 'dump', line: 1 })
    expect(problems.map(({ line, severity }) => `${severity} ${line}`).sort()).toEqual([
      'error 10',
      'error 7',
      'error 8',
      'error 9',
      'warning 10',
      'warning 14',
      'warning 14',
      'warning 6',
    ])
    expect(printIptablesSave(state, { counters: true })).toContain(
      ':INPUT ACCEPT [3:180]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:X - [0:0]\n:NOPE - [0:0]\n' +
        '[2:120] -A INPUT -s 10.0.0.1/32 -j X\n[0:0] -A INPUT --bogus\n[0:0] -A NOPE -j DROP\nCOMMIT\n',
    )
  })
})
