/** Which decoder serves, and why. */
import type { Decoder, DecoderOptions } from './decoder.js'
import { createNativeDecoder } from './native.js'
import { createReferenceDecoder } from './reference/decoder.js'

export interface Selection {
  readonly decoder: Decoder
  /** One plain sentence. */
  readonly reason: string
}

/** `auto` falls back to the reference decoder, `native` throws when the native one cannot be had. */
export function selectDecoder(mode: 'auto' | 'native' | 'reference', options: DecoderOptions): Selection {
  if (mode === 'reference') {
    return { decoder: createReferenceDecoder(options), reason: 'The reference decoder was asked for.' }
  }
  try {
    const reason = mode === 'native' ? 'The native decoder was asked for.' : 'The native decoder is here.'
    return { decoder: createNativeDecoder(options), reason }
  } catch (error) {
    if (mode === 'native') throw error
    const cause = causeOf(error)
    const reason = `The native decoder cannot be loaded (${cause}), so the reference decoder serves.`
    return { decoder: createReferenceDecoder(options), reason }
  }
}

/** The loader names every file that it tried; what people can act on is that none is there, or why one is no good. */
function causeOf(error: unknown): string {
  const chain: Error[] = []
  for (let next = error; next instanceof Error; next = next.cause) chain.push(next)
  if (chain.length < 2) return firstLine(error)
  // The system's own words: `…/sluicegate.linux-x64-gnu.node: file too short`.
  const unfit = chain.find((cause) => cause.message.includes('.node: '))
  return unfit === undefined ? `there is none for ${process.platform} ${process.arch}` : firstLine(unfit)
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n', 1)[0]!.replace(/\.$/, '')
}
