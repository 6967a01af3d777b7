/** Addresses of the running kernel in words, from /proc/kallsyms; read once for all labs, since the kernel takes its time to write it. */
import { readFileSync } from 'node:fs'

export class KernelSymbols {
  private lines: readonly string[] | undefined

  /** @param address 16 hexadecimal digits. @returns `ip_forward+0x2c0`, '' where the kernel tells no addresses */
  nameOf(address: string): string {
    this.lines ??= read()
    let [low, high] = [0, this.lines.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.lines[middle].slice(0, 16) <= address) low = middle + 1
      else high = middle
    }
    const [start, , name] = low === 0 ? [] : this.lines[low - 1].split(/\s/)
    if (start === undefined || name === undefined || /^0*$/.test(start)) return ''
    return `${name}+0x${(BigInt(`0x${address}`) - BigInt(`0x${start}`)).toString(16)}`
  }
}

/** By address; the modules' symbols stand behind the kernel's in the file. */
function read(): readonly string[] {
  try {
    return readFileSync('/proc/kallsyms', 'latin1')
      .split('\n')
      .filter((line) => line.length > 16)
      .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  } catch {
    return []
  }
}
