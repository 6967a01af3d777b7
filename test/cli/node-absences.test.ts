/**
 * What a dump does not tell: files that are not there, that are empty, shorter than the script wrote them, links, or of other names. Each is named with what
 * to do, a packet that is lost for want of it is INCOMPLETE; what a healthy node has empty is no alarm.
 */
import { Buffer } from 'node:buffer'
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { netsim } from './memory-io.js'

const EXAMPLES = new URL('../../examples/', import.meta.url).pathname
const NODE_1 = `${EXAMPLES}nodes/node-1.tar.gz`
const POD = 'pods/4026532592'

const folder = mkdtempSync(join(tmpdir(), 'netsim-absences-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A dump to be changed, by paths within it. */
class Dump {
  readonly path = mkdtempSync(join(folder, 'dump-'))
  constructor() {
    cpSync(`${EXAMPLES}nodes/node-2`, this.path, { recursive: true })
    this.write('node/iptables-legacy', '')
  }
  text(path: string): string {
    return readFileSync(join(this.path, path), 'utf8')
  }
  write(path: string, text: string): void {
    writeFileSync(join(this.path, path), text)
  }
  add(path: string, text: string): void {
    this.write(path, this.text(path) + text)
  }
  remove(...paths: string[]): void {
    for (const path of paths) rmSync(join(this.path, path))
  }
}

type Change = (dump: Dump) => void

/** @param ends source, destination and flags */
async function asked(change: Change, ...ends: string[]): Promise<{ readonly said: string; readonly err: string; readonly code: number }> {
  const dump = new Dump()
  change(dump)
  const { out, err, code } = await netsim(['trace', ...ends, '-o', 'json', '--node', NODE_1, '--node', dump.path])
  if (out === '') return { said: '', err: err.replaceAll(dump.path, 'D'), code }
  const { disposition, result } = JSON.parse(out) as TraceDocument
  return { said: `${disposition} ${result.cause}`, err: err.replaceAll(dump.path, 'D'), code }
}

const THERE = ['shop/web-0', 'shop/api-0:8080']
const BACK = ['shop/api-0', 'shop/web-0']
const remove =
  (...paths: string[]): Change =>
  (dump) =>
    dump.remove(...paths)
const empty =
  (...paths: string[]): Change =>
  (dump) => {
    for (const path of paths) dump.write(path, '')
  }

describe('files that are not there, or cannot be what the kernel had', () => {
  it.each<[string, Change, string[], string]>([
    ['the routes of the node', remove('node/route'), BACK, 'D: warning: Node/node-2: node/route: the dump has no such file'],
    ['an empty list of routes', empty('node/route'), BACK, 'D/node/route: warning: Node/node-2: node/route: nothing is in it'],
    ['the routes of a pod', remove(`${POD}/route`), BACK, `D: warning: Node/node-2: ${POD}/route: the dump has no such file`],
    ['the FDB', remove('node/fdb'), BACK, 'D: warning: Node/node-2: node/fdb: the dump has no such file'],
    ['an empty FDB beside a bridge', empty('node/fdb'), BACK, 'D/node/fdb: warning: Node/node-2: node/fdb: nothing is in it'],
    ['neighbours', remove('node/neigh'), BACK, 'D: warning: Node/node-2: node/neigh: the dump has no such file'],
    ['sysctls', remove('node/sysctl'), THERE, 'D: warning: Node/node-2: node/sysctl: the dump has no such file'],
    ['no sysctl at all', empty('node/sysctl'), THERE, 'D/node/sysctl: warning: Node/node-2: node/sysctl: nothing is in it'],
    ['both backends', remove('node/iptables-nft', 'node/iptables-legacy'), THERE, 'node/iptables-legacy, node/iptables-nft: the dump has neither file'],
    ['rules where pods run', empty('node/iptables-nft'), THERE, 'node/iptables-legacy, node/iptables-nft: nothing is in it'],
    ['the rules of a pod', remove(`${POD}/iptables-nft`, `${POD}/iptables-legacy`), BACK, `${POD}/iptables-legacy, ${POD}/iptables-nft: the dump has neither`],
    ['who listens', remove(`${POD}/sockets`), THERE, `${POD}/sockets, ${POD}/proc-tcp, ${POD}/proc-udp: the dump has none of these files`],
    ['devices of a pod', empty(`${POD}/addr`), ['shop/web-0', '10.244.2.2:8080'], `D/${POD}/addr: warning: Node/node-2: ${POD}/addr: no device is in it`],
    [
      'rules beside tables of their own',
      (dump) => {
        dump.remove('node/rule')
        dump.add('node/route', 'default via 192.168.10.254 dev eth0 table 100\n')
      },
      BACK,
      'D: warning: Node/node-2: node/rule: the dump has no such file',
    ],
    [
      'one backend, by the word of the script',
      (dump) => {
        dump.remove('node/iptables-legacy')
        dump.write('missing', 'node/iptables-legacy: the kernel has tables of it (filter), and no tool on this node reads them\n')
      },
      THERE,
      'D/missing:1: warning: Node/node-2: node/iptables-legacy: the kernel has tables of it',
    ],
    [
      'a file that was written and is empty now',
      (dump) => {
        dump.write('node/iptables-nft', '')
        dump.add('manifest', 'file 7000 node/iptables-nft\nfile 0 node/iptables-legacy\n')
      },
      THERE,
      'D: warning: Node/node-2: node/iptables-nft: 7000 bytes were gathered, and are gone',
    ],
  ])('%s: named, and INCOMPLETE', async (_, change, ends, told) => {
    const { said, err, code } = await asked(change, ...ends)
    expect(err).toContain(told)
    expect(err.split('\n').filter((line) => line.startsWith('    ')).length).toBeGreaterThan(0)
    expect(said).toMatch(/^INCOMPLETE /)
    expect(code).toBe(4)
  })

  it('the other way is answered: what arrives needs no FDB, and no neighbour on the tunnel', async () => {
    for (const path of ['node/fdb', 'node/neigh']) {
      const { said } = await asked(remove(path), ...THERE)
      expect(said).toBe(
        `INCOMPLETE the packet arrives at shop/api-0:8080, what becomes of the answer is not known: the dump does not tell: ${path}: the dump has no such file`,
      )
    }
    const { said } = await asked(remove(`${POD}/sockets`), ...THERE, '--listen')
    expect(said).toBe('DELIVERED shop/web-0 reaches shop/api-0:8080')
  })

  it('what a healthy node has empty, or does not have, is no alarm', async () => {
    const healthy: Change[] = [
      () => undefined,
      empty('node/neigh-proxy', 'node/ipset', `${POD}/neigh`),
      empty(`${POD}/iptables-nft`, `${POD}/iptables-legacy`),
      remove('node/iptables-legacy'),
      remove('node/ipset', 'node/list-id', 'node/bridge-link', 'node/neigh-proxy'),
      (dump) => {
        dump.write('node/iptables-nft', '')
        dump.add('manifest', 'file 0 node/iptables-nft\n')
      },
      (dump) => dump.write('node/iptables-nft', '# none\n'),
    ]
    const answers = await Promise.all(healthy.map((change) => asked(change, ...THERE)))
    expect(answers.map(({ said, err, code }) => [said, err, code])).toEqual(healthy.map(() => ['DELIVERED shop/web-0 reaches shop/api-0:8080', '', 0]))
  })

  it('the same of many pods is told once', async () => {
    const { err } = await asked(
      (dump) => {
        for (const inode of ['7', '8', '9']) {
          cpSync(join(dump.path, POD), join(dump.path, `pods/${inode}`), { recursive: true })
          dump.write(`pods/${inode}/about`, `inode ${inode}\n`)
          dump.write(`pods/${inode}/addr`, '1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    link/loopback 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n')
        }
        for (const inode of ['4026532592', '7', '8', '9']) dump.remove(`pods/${inode}/route`)
      },
      'node/node-2',
      'shop/web-0',
    )
    expect(err.match(/\/route: the dump has no such file.*/g)).toEqual(['/route: the dump has no such file (nor have 3 more pods)'])
  })
})

describe('files that are not as the script wrote them', () => {
  it('of another length, or gone', async () => {
    const { err, said } = await asked(
      (dump) => {
        dump.add('manifest', 'file 9999 node/fdb\nfile 10 node/wireguard\nfile 487 node/neigh\n')
        dump.write('node/neigh', dump.text('node/neigh').slice(0, 487).padEnd(487, '\n'))
      },
      ...THERE,
    )
    expect(said).toBe('DELIVERED shop/web-0 reaches shop/api-0:8080')
    expect(err.split('\n').filter((line) => !line.startsWith(' '))).toEqual([
      'D/node/fdb: warning: holds 487 bytes, and the script wrote 9999: it was cut short, or changed',
      'D: warning: the script wrote node/wireguard (10 bytes), which is not there',
      '',
    ])
  })

  it('of names that nothing is read from: once, with the name that was meant', async () => {
    const { err, said } = await asked(
      (dump) => {
        renameSync(join(dump.path, 'node/bridge-link'), join(dump.path, 'node/brctl'))
        dump.write('node/iptables', '# Generated by iptables-nft-save v1.8.9 (nf_tables) on Mon\n')
        for (const name of ['node/rooute', 'node/zzz', `${POD}/ss.txt`, 'node/.addr.swp', 'route']) dump.write(name, '')
      },
      ...THERE,
    )
    expect(said).toMatch(/^DELIVERED/)
    const told = err.split('\n').flatMap((line, at, all) => (/nothing is read/.test(line) ? [`${line.split(' ')[2]} ${all[at + 1].trim()}`] : []))
    expect(told.sort()).toEqual([
      'node/brctl: Did you mean node/bridge-link?',
      'node/iptables: Did you mean node/iptables-nft?',
      'node/rooute: Did you mean node/route?',
      'node/zzz: docs/nodes.md lists the names of the files that are read.',
      `${POD}/ss.txt: Did you mean pods/INODE/sockets?`,
      'route: Did you mean node/route?',
    ])
  })

  it('links are not followed, and said', async () => {
    const { err, said } = await asked(
      (dump) => {
        dump.remove('node/fdb')
        symlinkSync('/etc/hostname', join(dump.path, 'node/fdb'))
        symlinkSync(dump.path, join(dump.path, 'again'))
      },
      ...BACK,
    )
    expect(said).toMatch(/^INCOMPLETE/)
    expect(err).toContain('D: warning: node/fdb is a link, which is not followed')
    expect(err).toContain('D: warning: again is a link, which is not followed')
    expect(err).toContain('node/fdb: the dump has no such file')
  })
})

const NFT = 'node/iptables-nft'
const edited =
  (path: string, edit: (text: string) => string): Change =>
  (dump) =>
    dump.write(path, edit(dump.text(path)))

describe('spoilt files', () => {
  it.each<[string, Change, string]>([
    ['cut short within a rule', edited(NFT, (text) => text.slice(0, -900)), 'a quote stays open in'],
    ['cut short between rules', edited(NFT, (text) => text.replace(/COMMIT\n[^*]*$/, '')), 'table nat has no COMMIT'],
    ['without the line that begins a table', edited(NFT, (text) => text.replace('*filter\n', '')), '":INPUT ACCEPT [0:0]" stands outside a table'],
    ['with bytes that are no text', edited(NFT, (text) => text.replace('-A FORWARD', '-A FOR\0WARD')), 'a line with NUL bytes is left out'],
    [
      'of IPv6 alone',
      edited(NFT, () => '# Generated by ip6tables-save v1.8.9\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n'),
      'rules of node/iptables-nft: no table of IPv4 is in it',
    ],
    [
      'which names the backend that is not there',
      (dump) => {
        dump.remove('node/iptables-legacy')
        dump.add(NFT, '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n')
      },
      'node/iptables-legacy: the dump has no such file, and the node has tables of it',
    ],
    [
      'devices cut short before the tunnel',
      edited('node/addr', (text) => text.slice(0, text.indexOf('23: flannel.1'))),
      'the device flannel.1, which a route names',
    ],
  ])('%s: INCOMPLETE for who would meet what was lost', async (_, change, told) => {
    const { said, err } = await asked(change, 'shop/web-0', '10.244.2.2:8080')
    expect(err).toContain(told)
    expect(said).toMatch(/^INCOMPLETE /)
  })

  it.each<[string, Change, string]>([
    ['line ends of Windows', edited('node/addr', (text) => text.replaceAll('\n', '\r\n')), ''],
    ['a byte order mark', (dump) => ['addr', 'route', 'iptables-nft'].forEach((name) => dump.write(`node/${name}`, `\ufeff${dump.text(`node/${name}`)}`)), ''],
    ['UTF-16 of PowerShell', (dump) => writeFileSync(join(dump.path, 'node/route'), Buffer.from(`\ufeff${dump.text('node/route')}`, 'utf16le')), ''],
    ['two COMMITs', edited(NFT, (text) => text.replaceAll('COMMIT', 'COMMIT\nCOMMIT')), 'COMMIT outside a table'],
    ['tables twice', edited(NFT, (text) => text + text), 'table filter stands here twice'],
    ['counters beyond any number', edited(NFT, (text) => text.replaceAll('[0:0]', '[99999999999999999999999:1]')), ''],
    ['a rule of a chain that was not declared', edited(NFT, (text) => text.replace('-A KUBE-FIREWALL', '-A NOWHERE')), "chain 'NOWHERE' does not exist"],
    ['each device twice', edited('node/addr', (text) => text + text), 'the device eth0 stands here twice'],
    [
      'a device without an MTU',
      edited('node/addr', (text) => `${text}90: odd: <UP> qdisc\n    inet 10.9.9.9/24 scope global odd\n`),
      'the device odd has no MTU',
    ],
    ['every route twice', edited('node/route', (text) => text + text), ''],
    [
      'a list of all tables of nftables beside iptables’ own',
      (dump) => dump.write('node/nft', 'table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n'),
      '',
    ],
  ])('%s: read all the same', async (_, change, told) => {
    const { said, err } = await asked(change, ...THERE)
    expect(said).toBe('DELIVERED shop/web-0 reaches shop/api-0:8080')
    if (told === '') expect(err).toBe('')
    else expect(err).toContain(told)
  })
})

describe('devices without their kinds', () => {
  const plain: Change = (dump) => {
    const text = dump.text('node/addr').replace(/^ {4}(vxlan|bridge|veth|loopback|bridge_slave)\b.*\n/gm, '')
    dump.write('node/addr', text.replace(/ promiscuity.*$/gm, ''))
    dump.remove('node/sys')
  }

  it('a VXLAN device is named for what is not known of it; what comes to its port is INCOMPLETE, and no socket’s', async () => {
    for (const ends of [THERE, BACK]) {
      const { said, err } = await asked(plain, ...ends)
      expect(said).toBe('INCOMPLETE the dump does not tell the VNI and the port of the VXLAN device flannel.1')
      expect(err).toContain(
        'printed without -d, and there is no file sys: devices are taken for what their names and ports tell: flannel.1 for a vxlan, cni0 for a bridge',
      )
    }
    expect((await asked(plain, 'node/node-1', 'shop/api-0')).said).toMatch(/^INCOMPLETE/)
    expect((await asked(plain, 'node/node-2', 'shop/api-0:8080')).said).toBe('DELIVERED node/node-2 reaches shop/api-0:8080')
  })

  it('an IPIP device: what comes in its protocol is not lost on a host without one', async () => {
    const { err } = await asked(
      (dump) => {
        dump.add('node/addr', '41: odd@NONE: <NOARP,UP,LOWER_UP> mtu 1480 qdisc noqueue\n    link/ipip 192.168.10.12 brd 0.0.0.0\n')
      },
      ...THERE,
    )
    expect(err).toContain('odd is a device of kind ipip')
  })
})

describe('routes without a carrier', () => {
  const asFlags =
    (flags: string): Change =>
    (dump) =>
      dump.write('node/route', dump.text('node/route').replace(/^(10\.244\.1\.0\/24 .*) $/m, `$1 ${flags} `))

  it('linkdown is printed as it was found; dead is passed over, as the kernel does with ignore_routes_with_linkdown', async () => {
    const dump = new Dump()
    asFlags('linkdown')(dump)
    const { out } = await netsim(['show', 'routes', 'node-2', '--node', dump.path])
    expect(out).toContain('10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink linkdown')
    expect((await asked(asFlags('linkdown'), ...BACK)).said).toMatch(/^DELIVERED/)
    const dead = await asked(asFlags('linkdown dead'), ...BACK)
    expect(dead.said).not.toMatch(/^(DELIVERED|INCOMPLETE)/)
  })
})

describe('what --node is given', () => {
  it('nothing, no name, nobody', async () => {
    const said = async (value: string): Promise<string> => (await netsim(['trace', ...THERE, '--node', NODE_1, '--node', value])).err.split('\n')[0]
    expect(await said('')).toBe("--node '': error: no folder and no archive is named")
    expect(await said('n2=')).toBe('--node n2=: error: no folder and no archive is named')
    expect(await said('=x')).toBe('--node =x: error: no node is named before the =')
  })

  it('a node by another case: the dump’s own word is made small, as kubelet does; what the user says is not guessed at', async () => {
    expect((await asked((dump) => dump.write('manifest', dump.text('manifest').replace('node node-2', 'node NODE-2')), ...THERE)).said).toMatch(/^DELIVERED/)
    const { err } = await netsim(['trace', ...THERE, '-f', `${EXAMPLES}flannel-vxlan.yaml`, '--node', `NODE-2=${new Dump().path}`])
    expect(err).toMatch(/the cluster has no node "NODE-2"\n {4}Did you mean --node node-2=/)
  })
})
