// `npm start [-- flags]`: sets up what is missing, then serves in this very process, so that signals and exit codes
// are the server's own.
import { failSetup, setup } from './setup.mjs'

await setup().catch(failSetup)
await import('../dist/cli.js')
