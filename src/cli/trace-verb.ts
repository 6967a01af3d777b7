/** `netsim trace` on the command line: its arguments and flags. What it does comes with trace-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import { addQuestionOptions, type QuestionHelp } from './question-flags.js'
import { colorWhen, dispositions, moment, outputFormat, requestOf, TRACE_FORMATS, type TraceFlags } from './trace-options.js'
import { addNodeOption } from './node-flags.js'
import { addInputOptions, type Running } from './verb.js'

const QUESTION_HELP: QuestionHelp = {
  proto: 'tcp, udp, icmp or sctp (tcp with a port, icmp without)',
  size: 'length of the IP packet, headers included; tcp: of a segment after the handshake',
  note: '',
}

/** The value of a flag that counts. */
function oneMore(_: string, before: number): number {
  return before + 1
}

export function addTrace(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('trace')
    .summary('follow one packet, and its answer')
    .description('Follows one packet from SRC to DST, and what is sent back: every hop, every rule that decided, every byte added.')
    .argument('<SRC>', 'ns/pod, ns/pod/container, node/NAME, host/NAME, kubelet, an address, or a pod of -n')
    .argument('<DST[:PORT]>', 'the same, svc/NAME, a DNS name or a URL; without a port an ICMP echo is sent, with one a TCP connection is begun')
    .addHelpText('before', traceExamples(name))
    .showHelpAfterError(`See '${name} trace --help'.`)
  addNodeOption(addInputOptions(command)).addOption(
    new Option('-o, --output <FORMAT>', TRACE_FORMATS.join(', ')).argParser(outputFormat(TRACE_FORMATS)).default('text'),
  )
  addQuestionOptions(command, QUESTION_HELP)
    .addOption(
      new Option('--at <TIME>', 'ask at this time of the Scenario among the files, or after the start: 12.5s, 24h1s, 2d')
        .argParser(moment)
        .default(undefined, '0s'),
    )
    .addOption(new Option('--expect <DISPOSITION,…>', 'exit 0 when it ends so, else 1: DELIVERED, DENIED, …').argParser(dispositions).default([], 'none'))
    .addOption(new Option('-v, --verbose', 'every rule tried; -vv: and the headers; -vvv: and the bytes').argParser(oneMore).default(0, 'what decided'))
    .option('--summary', 'the last block only', false)
    .option('--mtu', 'how large packets may be, both ways, and what becomes of larger ones', false)
    .option('--all', 'every outcome and how likely it is: endpoints of a Service, equal-cost paths', false)
    .option('--dns', "the DNS query for DST's name, in place of a packet to its address", false)
    .option('--svg <FILE|->', 'draw the path; - for standard output, in place of the text')
    .option('--pcap <FILE|->', 'write every frame as pcapng, for Wireshark; - for standard output, in place of the text')
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (source: string, destination: string, given: TraceFlags) => {
      const flags = { ...given, seedGiven: command.getOptionValueSource('seed') === 'cli' }
      const request = requestOf(source, destination, flags)
      if (/^https?:\/\//i.test(destination)) {
        const { ingress } = await import('./ingress-command.js')
        status.code = await ingress(request, flags, io)
        return
      }
      if (flags.mtu === true) {
        const { mtu } = await import('./mtu-command.js')
        status.code = await mtu(request, flags, io)
        return
      }
      if (flags.all === true) {
        const { outcomes } = await import('./outcomes-command.js')
        status.code = await outcomes(request, flags, io)
        return
      }
      const { trace } = await import('./trace-command.js')
      status.code = await trace(request, flags, io)
    })
}

function traceExamples(name: string): string {
  return `Examples:
  ${name} trace pod-a pod-b                             ping; the built-in example, where there is no ./netsim.yaml
  ${name} trace web-0 api-0:8080 -n shop -f cluster/    TCP, through the manifests of a folder
  ${name} trace web-0 svc/api --all                     every endpoint of a Service, and how likely each is
  ${name} trace web-0 api.shop.svc:80                   a name, as the pod's resolver looks it up
  ${name} trace host/client https://shop.example/cart   through an Ingress: both connections
  ${name} trace web-0 10.244.2.9:53 --proto udp -v      UDP, with every rule that was tried
  ${name} trace web-0 api-0:8080 --size 1500            a full segment: does it fit?
  ${name} trace web-0 api-0:8080 --mtu                  the largest packet and MSS, both ways
  ${name} trace web-0 db-0:5432 --expect DENIED         a test: exit 0 when a rule drops it
  ${name} trace web-0 api-0 -o json | jq .disposition
  ${name} trace web-0 api-0:8080 --pcap - | wireshark -k -i -
`
}
