/** Rejects with `message` when `work` takes longer; what `work` does afterwards is nobody's concern. */
export async function withinMs<T>(ms: number, work: Promise<T>, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${message} within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
    // Once nobody waits any more, its failure must not end the process.
    work.catch(() => {})
  }
}
