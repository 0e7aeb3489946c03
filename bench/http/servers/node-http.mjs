// The floor: node:http alone, which collects the body and answers `1`.
import { createServer } from 'node:http'
import { announce } from './announce.mjs'

const HEADERS = { 'content-type': 'text/plain', 'content-length': '1' }

const server = createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    response.writeHead(200, HEADERS)
    response.end('1')
  })
})
server.listen(0, '127.0.0.1', () => announce(server.address().port))
