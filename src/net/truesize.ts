// hot path
/** How much memory the kernel takes for a packet (skb->truesize): TCP offers its window by it. */

/** NET_SKB_PAD; sizeof(struct skb_shared_info), of struct sk_buff; the head of small packets (SKB_SMALL_HEAD_CACHE_SIZE): x86-64. */
const HEADROOM = 64
const SHARED_INFO = 320
const SKB = 256
const SMALL_HEAD = 704
const CACHE_LINE = 64
const PAGE = 4096
/** That __pskb_pull_tail makes room for besides. */
const SPARE = 128

/** tun_alloc_skb: what fits into a page with its headroom lies in one piece, of a longer packet the first page so and the rest in whole pages. */
export function bufferOf(length: number): number {
  if (HEADROOM + length < PAGE) return allocated(HEADROOM + length) + SKB
  const first = PAGE - HEADROOM - SHARED_INFO
  return PAGE + Math.ceil((length - first) / PAGE) * PAGE + SKB
}

/**
 * The buffer once another device has sent it on, all of which do without scatter-gather here: a longer packet is copied into one piece, and its
 * pages stay counted (__pskb_pull_tail, pskb_expand_head).
 */
export function linearized(bufferSize: number, length: number): number {
  return HEADROOM + length < PAGE ? bufferSize : bufferSize + allocated(HEADROOM + length + SPARE) - PAGE
}

/** kmalloc_reserve: the smallest power of two that holds it all. */
function allocated(length: number): number {
  const head = Math.ceil(length / CACHE_LINE) * CACHE_LINE + SHARED_INFO
  return head <= SMALL_HEAD ? SMALL_HEAD : 2 ** Math.ceil(Math.log2(head))
}

/** Room that a device of Ethernet wants before the IP header (LL_RESERVED_SPACE). */
const LINK_LAYER = 16

/** ip_frag_next: a fragment that a host on the way has cut lies in a piece of its own. */
export function fragmentBuffer(length: number): number {
  return allocated(LINK_LAYER + length) + SKB
}

/** What is left behind the bytes of such a fragment (skb_tailroom). */
export function fragmentTailroom(length: number): number {
  return allocated(LINK_LAYER + length) - SHARED_INFO - LINK_LAYER - length
}
