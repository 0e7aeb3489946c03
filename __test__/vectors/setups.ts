/** How the server is configured for vectors that name a `setup`. */
import type { Config } from '../../src/config.js'
import type { SetupName } from './golden.js'

const MiB = 2 ** 20

export const SETUPS: Readonly<Record<SetupName, Partial<Config>>> = {
  open: {},
  late_drop: { late: 'drop' },
  redirect_hosts: { redirectHosts: ['ok.example'] },
  tokens: {
    auth: 'tokens',
    tokensFile: 'tokens.json',
    tokens: [
      {
        token: 't0k',
        projectId: '12345',
        apiKeys: ['k'],
        secrets: ['s3cret'],
        serviceAccounts: [{ username: 'svc', secret: 'sec' }],
      },
    ],
  },
  /** So small that it can be filled; the runner does that before the first request. */
  full: {
    bodyLimitBytes: MiB,
    batchBytesMax: MiB,
    logSegmentBytes: MiB,
    logMaxBytes: 16 * MiB,
    rejectBytesMax: MiB,
  },
}
