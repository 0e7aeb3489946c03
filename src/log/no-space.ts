/** No space, as opposed to a disk that fails. */
export function isNoSpace(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code === 'ENOSPC' || code === 'EDQUOT'
}
