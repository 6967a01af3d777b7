/**
 * `ip link set …`, `ip link set … type bridge_slave …` and `bridge link set …` applied to devices (iproute2 6.1 iplink.c,
 * bridge/link.c). Devices are made and removed by whoever renders them, not by commands.
 */
import { parseMac, type Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { BridgePortSpec, DeviceSpec } from './dataplane.js'
import { abbreviated, parseInteger, Report, Words, type Place } from './text.js'

/** With or without the leading words. After an error the devices are as they were. */
export function applyLinkCommand(
  devices: readonly DeviceSpec[],
  text: string,
  place: Place,
): { readonly devices: readonly DeviceSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  return { devices: apply(devices, text, report) ?? devices, problems: report.problems }
}

interface Changes {
  mtu?: number
  up?: boolean
  mac?: Mac
  /** Present and undefined: nomaster. */
  master?: string
  bridgePort?: BridgePortSpec
}

const PORT_FLAGS: ReadonlyMap<string, keyof BridgePortSpec> = new Map([
  ['hairpin', 'hairpin'],
  ['learning', 'learning'],
  ['flood', 'flood'],
  ['isolated', 'isolated'],
])

function apply(devices: readonly DeviceSpec[], text: string, report: Report): readonly DeviceSpec[] | undefined {
  const words = Words.of(text)
  const ofBridge = words.takeIf('bridge')
  words.takeIf('ip')
  if (abbreviated(words.peek(), ['link']) !== undefined) words.next()
  const word = words.next()
  if (abbreviated(word, ['set']) === undefined) return report.error(`Command "${word ?? ''}" is unknown, try "ip link help".`, 'Modelled is set.')
  words.takeIf('dev')
  const name = words.next()
  const device = devices.find((candidate) => candidate.name === name)
  if (device === undefined) return report.error(name === undefined ? 'Not enough of information: "dev" argument is required.' : `Cannot find device "${name}"`)
  const changes: Changes = {}
  let ofPort = ofBridge
  while (!words.done) {
    if (words.takeIf('type')) {
      const type = words.next()
      if (type !== 'bridge_slave') return report.error(`"type ${type ?? ''}" of ip link set is not modelled`, 'Modelled is type bridge_slave.')
      ofPort = true
      continue
    }
    if (!(ofPort ? readPortFlag(words, device, changes, report) : readChange(words, { device, devices }, changes, report))) return undefined
  }
  const { master, ...rest } = changes
  const { master: oldMaster, ...others } = device
  const newMaster = 'master' in changes ? master : oldMaster
  return devices.map((other) => (other === device ? { ...others, ...rest, ...(newMaster === undefined ? {} : { master: newMaster }) } : other))
}

function readChange(
  words: Words,
  { device, devices }: { readonly device: DeviceSpec; readonly devices: readonly DeviceSpec[] },
  changes: Changes,
  report: Report,
): boolean {
  const word = words.next() ?? ''
  switch (word) {
    case 'up':
    case 'down':
      changes.up = word === 'up'
      return true
    case 'nomaster':
      changes.master = undefined
      return true
    case 'mtu': {
      const text = words.next()
      const mtu = parseInteger(text)
      if (mtu === undefined) return report.error(`argument "${text ?? ''}" is wrong: Invalid "mtu" value`) === true
      if (device.kind !== 'loopback' && mtu < 68) return report.error('Error: mtu less than device minimum.', 'The least MTU of IPv4 is 68.') === true
      if (device.kind !== 'loopback' && mtu > 65535) return report.error('Error: mtu greater than device maximum.', 'At most 65535.') === true
      changes.mtu = mtu
      return true
    }
    case 'address': {
      const text = words.next() ?? ''
      const mac = parseMac(text)
      if (mac === undefined) return report.error(`"${text}" is invalid lladdr.`) === true
      if (mac === 0 || Math.floor(mac / 2 ** 40) % 2 === 1)
        return report.error('RTNETLINK answers: Cannot assign requested address', 'A device has a unicast address.') === true
      changes.mac = mac
      return true
    }
    case 'master': {
      const name = words.next()
      const bridge = devices.find((other) => other.name === name)
      if (bridge === undefined) return report.error(`argument "${name ?? ''}" is wrong: Device does not exist`) === true
      if (bridge.kind !== 'bridge') return report.error('RTNETLINK answers: Operation not supported', `${bridge.name} is no bridge.`) === true
      changes.master = bridge.name
      return true
    }
    default:
      return report.error(`"${word}" of ip link set is not modelled`, 'Modelled are up, down, mtu, address, master, nomaster, type bridge_slave.') === true
  }
}

function readPortFlag(words: Words, device: DeviceSpec, changes: Changes, report: Report): boolean {
  const word = words.next() ?? ''
  const flag = PORT_FLAGS.get(word)
  const value = words.next()
  if (flag === undefined)
    return report.error(`the bridge port setting "${word}" is not modelled`, `Modelled are ${[...PORT_FLAGS.keys()].join(', ')}.`) === true
  if (value !== 'on' && value !== 'off') return report.error(`argument of "${word}" must be "on" or "off", not "${value ?? ''}"`) === true
  if (device.master === undefined && changes.master === undefined)
    return report.error('RTNETLINK answers: Operation not supported', `${device.name} is no port of a bridge.`) === true
  // `port` of these two kinds is their UDP port: DeviceSpec has no place for their bridge port's flags
  if (device.kind === 'vxlan' || device.kind === 'wireguard')
    return report.error(`bridge port settings of the ${device.kind} device ${device.name} are not modelled`) === true
  changes.bridgePort = { ...device.bridgePort, ...changes.bridgePort, [flag]: value === 'on' }
  return true
}
