/** Zeroes that stay where they are: nobody can transfer shared memory away under code that is not JavaScript. */
export function sharedBytes(length: number): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(new SharedArrayBuffer(length))
}
