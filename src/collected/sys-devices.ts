/** `node/sys`, a line for each device of what /sys/class/net has of it: NAME KEY=VALUE …. It tells the kinds that a small `ip` does not print. */
export type SysDevice = ReadonlyMap<string, string>

/** By device; `line` is among the values. */
export function readSysDevices(text: string): ReadonlyMap<string, SysDevice> {
  const devices = new Map<string, SysDevice>()
  for (const line of text.split('\n')) {
    const [name, ...words] = line.trim().split(/\s+/)
    if (name === '') continue
    const pairs = words.map((word): [string, string] => {
      const at = word.indexOf('=')
      return at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)]
    })
    devices.set(name, new Map(pairs))
  }
  return devices
}
