/** Codes of NOTIFICATION in words (RFC 4271 section 4.5, 4486, 6608). */
const CODES: Readonly<Record<number, string>> = {
  1: 'Invalid message header',
  2: 'Invalid OPEN message',
  3: 'Invalid UPDATE message',
  4: 'Hold timer expired',
  5: 'Unexpected message',
  6: 'Cease',
}

const SUBCODES: Readonly<Record<string, string>> = {
  '1.1': 'Connection not synchronized',
  '1.2': 'Bad message length',
  '1.3': 'Bad message type',
  '2.1': 'Unsupported version number',
  '2.2': 'Bad peer AS',
  '2.3': 'Bad BGP identifier',
  '2.6': 'Unacceptable hold time',
  '3.1': 'Malformed attribute list',
  '3.3': 'Missing mandatory attribute',
  '3.5': 'Invalid attribute length',
  '3.6': 'Invalid ORIGIN attribute',
  '3.10': 'Invalid network field',
  '3.11': 'Malformed AS_PATH',
  '5.1': 'Unexpected message in OpenSent state',
  '5.2': 'Unexpected message in OpenConfirm state',
  '5.3': 'Unexpected message in Established state',
  '6.1': 'Maximum number of prefixes reached',
  '6.2': 'Administrative shutdown',
  '6.3': 'Peer de-configured',
  '6.4': 'Administrative reset',
  '6.5': 'Connection rejected',
  '6.6': 'Other configuration change',
  '6.7': 'Connection collision resolution',
}

export function notificationText(code: number, subcode: number): string {
  const text = CODES[code] ?? `Unknown error ${code}.${subcode}`
  return SUBCODES[`${code}.${subcode}`] ?? text
}
