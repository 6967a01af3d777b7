/** A parser of a closed list of words that carries its list: what completion offers is what the flag takes. */

export interface Choices {
  readonly choices: readonly string[]
  /** Several may be given, with commas between. */
  readonly several: boolean
}

type Parser<Value> = (text: string) => Value

export function choosing<Value>(choices: readonly string[], parse: Parser<Value>): Parser<Value> & Choices {
  return Object.assign(parse, { choices, several: false })
}

export function choosingSeveral<Value>(choices: readonly string[], parse: Parser<Value>): Parser<Value> & Choices {
  return Object.assign(parse, { choices, several: true })
}

/** Of a parser that has them. */
export function choicesOf(parser: unknown): Choices | undefined {
  return typeof parser === 'function' && 'choices' in parser ? (parser as unknown as Choices) : undefined
}
