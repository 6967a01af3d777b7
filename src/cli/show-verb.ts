/** `netsim show` on the command line: its arguments and flags. What it does comes with show-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { nearestName } from '../cluster/nearest-name.js'
import { DIARY_AGENTS, DIARY_KINDS } from '../network/time/diary.js'
import { choosingSeveral } from './choices.js'
import { UsageError } from './exit.js'
import { afterOf } from './show-after.js'
import type { ShowFlags } from './show-command.js'
import { addNodeOption } from './node-flags.js'
import { KINDS, kindOf, type Kind } from './show-names.js'
import { moment, outputFormat, STATE_FORMATS } from './trace-options.js'
import { addInputOptions, collect, type Running } from './verb.js'

export function addShow(program: Command, name: string, running: Running): void {
  const { io, status } = running
  const command = program
    .command('show')
    .summary('print state in the words of the tools that own it')
    .description('Prints what the nodes hold, in the syntax of ip, bridge, iptables-save, ipset, sysctl, ss, conntrack, etcdctl, birdc and calicoctl.')
    .argument('<KIND>', KINDS.join(', '), kindOf)
    .argument(
      '[NODE]',
      'a node, a pod (ns/pod, or a bare name in -n) or router/NAME; of services, endpoints and ingress its name, of dns a name; without it all',
    )
    .addHelpText('before', showExamples(name))
    .showHelpAfterError(`See '${name} show --help'.`)
  addNodeOption(addInputOptions(command))
    .addOption(new Option('-o, --output <FORMAT>', 'text or json').argParser(outputFormat(STATE_FORMATS)).default('text'))
    .option('--all', 'sysctls: with the kernel’s defaults; bgp: every attribute of the routes; timeline: watch events, BGP messages and every line too', false)
    .addOption(new Option('--dialect <DIALECT>', 'bird: the language of Calico’s BIRD 1.6, or that of BIRD 2').choices(['calico', 'bird2']).default('calico'))
    .option('--table <TABLE>', 'routes: of another table than main, by number or name, or of all')
    .addOption(new Option('--at <TIME>', 'at this time of the Scenario among the files, or after the start: 12.5s, 24h1s').argParser(moment))
    .addOption(new Option('--diff-from <TIME>', 'what changed from this time of the Scenario to --at').argParser(moment))
    .addOption(new Option('--agent <NAME,…>', `timeline: what these did: ${DIARY_AGENTS.join(', ')}`).argParser(diaryAgents))
    .addOption(new Option('--kind <KIND,…>', `timeline: of these kinds: ${DIARY_KINDS.join(', ')}`).argParser(diaryKinds))
    .option('--object <TEXT>', 'timeline: what has this in its object or its line: 10.1.53.0/24, Pod/shop/web-0')
    .addOption(new Option('--from <TIME>', 'timeline: from then on; --from=-2s is before time 0').argParser(signedMoment))
    .addOption(new Option('--to <TIME>', 'timeline: until then').argParser(signedMoment))
    .option("--after <'SRC DST[:PORT]'>", 'conntrack: ask this first, in the words and flags of trace; again and again', collect, [])
    .action(async (kind: Kind, node: string | undefined, given: ShowFlags) => {
      const flags = { ...given, seedGiven: command.getOptionValueSource('seed') === 'cli' }
      if (flags.all && kind !== 'sysctls' && kind !== 'bgp' && kind !== 'timeline')
        throw new UsageError(`--all is of sysctls, bgp and timeline, not of ${kind}`)
      checkTimes(kind, flags)
      if (flags.table !== undefined && kind !== 'routes') throw new UsageError(`--table is of routes, not of ${kind}`)
      if (command.getOptionValueSource('dialect') === 'cli' && kind !== 'bird') throw new UsageError(`--dialect is of bird, not of ${kind}`)
      if (flags.after.length > 0 && kind !== 'conntrack')
        throw new UsageError(`--after is of conntrack, not of ${kind}: the rest is shown as it is before any packet`)
      if (kind === 'timeline') {
        const { showTimeline } = await import('./show-timeline.js')
        status.code = await showTimeline(node, flags, io)
        return
      }
      const questions = flags.after.map((text) => afterOf(text, flags, running))
      const { show } = await import('./show-command.js')
      status.code = await show(kind, node, { flags, io, questions })
    })
}

/** @throws UsageError where a flag is of another kind */
function checkTimes(kind: Kind, { at, diffFrom, agent, kind: kinds, object, from, to }: ShowFlags): void {
  const given = (flags: Readonly<Record<string, unknown>>): string[] => Object.keys(flags).filter((name) => flags[name] !== undefined)
  const ofTimeline = given({ '--agent': agent, '--kind': kinds, '--object': object, '--from': from, '--to': to })
  if (kind !== 'timeline' && ofTimeline.length > 0) throw new UsageError(`${ofTimeline[0]} is of timeline, not of ${kind}`)
  const ofMoments = given({ '--at': at, '--diff-from': diffFrom })
  if (kind === 'timeline' && ofMoments.length > 0) throw new UsageError(`${ofMoments[0]} is of a moment, not of timeline: take --from and --to`)
  if (diffFrom === undefined) return
  if (at === undefined) throw new UsageError('--diff-from needs --at: the time until which')
  if (diffFrom > at) throw new UsageError('--diff-from is later than --at')
  if (kind === 'conntrack') throw new UsageError('--diff-from is not of conntrack, which is shown as it is before any packet')
}

function signedMoment(text: string): number {
  return text.startsWith('-') ? -moment(text.slice(1)) : moment(text)
}

/** Of a closed list, several with commas between. */
function severalOf<Name extends string>(names: readonly Name[]): (text: string) => readonly Name[] {
  return choosingSeveral(names, (text) =>
    text.split(',').map((word) => {
      const found = names.find((name) => name === word.trim())
      if (found !== undefined) return found
      const nearest = nearestName(word.trim(), names)
      throw new InvalidArgumentError(`There is no ${word.trim()}.${nearest === undefined ? '' : ` Did you mean ${nearest}?`} There are ${names.join(', ')}.`)
    }),
  )
}

const diaryAgents = severalOf(DIARY_AGENTS)
const diaryKinds = severalOf(DIARY_KINDS)

function showExamples(name: string): string {
  return `Examples:
  ${name} show routes                       ip route, of every node
  ${name} show routes host-a --table all      ip route show table all
  ${name} show fdb host-a -f cluster.yaml   bridge fdb, of one
  ${name} show addr default/pod-a           ip addr, in a pod
  ${name} show iptables host-a              what iptables-restore takes
  ${name} show leases -o json
  ${name} show etcd --etcd http://127.0.0.1:2379 -o json > etcd.json   a snapshot, for -f
  ${name} show bgp node-1 -f cluster.yaml   birdc show protocols, show route
  ${name} show bird node-1 -f cluster.yaml  the configuration that confd renders
  ${name} show sockets pod-a                who listens: ss -lnptu
  ${name} show sysctls host-a --all         sysctl -a
  ${name} show endpoints shop/api           who is behind a Service
  ${name} show dns                          every record of the cluster
  ${name} show timeline node-1 -f node-dies.yaml --agent flanneld     the diary of a run
  ${name} show routes node-1 -f node-dies.yaml --at 24h1s --diff-from 10s
  ${name} show conntrack host-a --after 'pod-a pod-b:80'   conntrack -L, once that was asked
`
}
