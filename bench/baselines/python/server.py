"""The Python server of the story: eventlet's raw WSGI, simplejson, errors in words, a queue in memory.

    python server.py

It decodes a request, checks its events, puts a record of each on the queue and answers. The queue stands for the service
that the story had there: it takes bytes; here it is a bounded list whose oldest go, which costs less than any hand-over.
"""

import base64
import binascii
import collections
import sys
import time

import eventlet
from eventlet import wsgi
import simplejson

from urllib.parse import parse_qs

QUEUE_ITEMS_MAX = 10_000
HEADERS = [('Content-Type', 'text/plain'), ('Cache-Control', 'no-store')]

queue = collections.deque(maxlen=QUEUE_ITEMS_MAX)


class Refused(Exception):
    """What is wrong with a request, in words."""


def payload_of(environ):
    body = environ['wsgi.input'].read()
    if environ.get('CONTENT_TYPE', '').startswith('application/json'):
        return body
    data = parse_qs(body.decode('latin-1')).get('data')
    if not data:
        raise Refused('data, missing or empty')
    try:
        return base64.b64decode(data[0].replace(' ', '+'), validate=True)
    except binascii.Error:
        raise Refused('data, not base64')


def events_of(payload):
    try:
        events = simplejson.loads(payload)
    except ValueError:
        raise Refused('data, not JSON')
    return events if isinstance(events, list) else [events]


def check(event):
    if not isinstance(event, dict):
        raise Refused('event, must be an object')
    if not isinstance(event.get('event'), str) or not event['event']:
        raise Refused('event.event, missing or empty')
    properties = event.get('properties')
    if not isinstance(properties, dict):
        raise Refused('event.properties, missing or empty')
    if not isinstance(properties.get('token'), str) or not properties['token']:
        raise Refused('event.properties.token, missing or empty')


def track(environ):
    query = parse_qs(environ['QUERY_STRING'])
    verbose = query.get('verbose', ['0'])[0] == '1'
    use_ip = query.get('ip', ['0'])[0] == '1'
    try:
        events = events_of(payload_of(environ))
        for event in events:
            check(event)
    except Refused as error:
        return simplejson.dumps({'error': str(error), 'status': 0}) if verbose else '0'
    received_ms = int(time.time() * 1000)
    ip = environ['REMOTE_ADDR'] if use_ip else None
    ua = environ.get('HTTP_USER_AGENT')
    for event in events:
        queue.append(simplejson.dumps({'received_ms': received_ms, 'ip': ip, 'ua': ua, 'record': event}))
    return simplejson.dumps({'error': None, 'status': 1}) if verbose else '1'


def application(environ, start_response):
    path = environ['PATH_INFO'].rstrip('/')
    if path == '/track':
        answer = track(environ)
    elif path == '/queue':
        # For the proof that the queue holds what was sent; not a part of the story.
        answer = '[%s]' % ','.join(queue)
    else:
        start_response('404 Not Found', HEADERS)
        return [b'0']
    body = answer.encode()
    start_response('200 OK', HEADERS + [('Content-Length', str(len(body)))])
    return [body]


if __name__ == '__main__':
    listener = eventlet.listen(('127.0.0.1', 0), backlog=512)
    print('ready %d' % listener.getsockname()[1])
    sys.stdout.flush()
    wsgi.server(listener, application, log_output=False, max_size=4096)
