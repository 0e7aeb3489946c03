/** What an operating system can promise. */

const NAMES: Readonly<Record<string, string>> = { darwin: 'macOS', win32: 'Windows' }

/** One line for where the server is for trials only; undefined on Linux. The decoder is at home everywhere. */
export function trialNotice(platform: string): string | undefined {
  if (platform === 'linux') return undefined
  const name = NAMES[platform] ?? platform
  return (
    `on ${name} the server is for trials: that acknowledged events survive a power failure, and that a data ` +
    'directory has one owner, is proven on Linux only'
  )
}
