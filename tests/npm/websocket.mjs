// A real WebSocket client and a real WebSocket server (npm: ws) with a worker between them.
// usage: node websocket.mjs WORKER_PORT MODEL_PORT   (ws is found through NODE_PATH's folder or beside this file)
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { once } from 'node:events';

const require = createRequire(process.env.VW_NPM ? process.env.VW_NPM + '/' : import.meta.url);
const { WebSocket, WebSocketServer } = require('ws');
const [workerPort, modelPort] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ port: modelPort, host: '127.0.0.1', perMessageDeflate: true, maxPayload: 64 << 20 });
await once(server, 'listening');

let closes = [];
server.on('connection', (socket, request) => {
    socket.requestUrl = request.url;
    socket.on('message', (data, isBinary) => {
        if (!isBinary && String(data) === 'url') socket.send(request.url);
        else if (!isBinary && String(data) === 'leave') socket.close(4001, 'done');
        else socket.send(data, { binary: isBinary });
    });
    socket.on('close', (code, reason) => closes.push([code, String(reason)]));
});

async function open(options) {
    for (;;) { // the worker may not be ready yet: it says so with 503
        const socket = new WebSocket(`ws://127.0.0.1:${workerPort}/ws?x=1`, options);
        try {
            await once(socket, 'open');
            return socket;
        } catch (error) {
            assert.match(String(error), /503|ECONNREFUSED/);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }
}

async function ask(socket, data) {
    socket.send(data);
    const [answer, isBinary] = await once(socket, 'message');
    return isBinary ? answer : String(answer);
}

for (const perMessageDeflate of [false, true]) {
    const socket = await open({ perMessageDeflate, maxPayload: 64 << 20 });
    assert.equal(await ask(socket, 'url'), '/ws?x=1');
    assert.equal(await ask(socket, 'h\u00e9llo \u{1f600}'), 'h\u00e9llo \u{1f600}');
    const big = Buffer.alloc(8 << 20, 0).map((_, i) => (i * 2654435761) >>> 13);
    assert.deepEqual(await ask(socket, big), big);
    for (let i = 0; i < 200; i++) assert.equal(await ask(socket, `m${i}`), `m${i}`);
    const pong = once(socket, 'pong');
    socket.ping('are you there');
    assert.equal(String((await pong)[0]), 'are you there');
    const closed = once(socket, 'close');
    socket.close(4000, 'enough');
    assert.deepEqual((await closed).map(String), ['4000', 'enough']);
}

const left = await open({});
const closed = once(left, 'close');
left.send('leave');
assert.deepEqual((await closed).map(String), ['4001', 'done']);

const many = await Promise.all(Array.from({ length: 50 }, () => open({})));
await Promise.all(many.map((socket, i) => ask(socket, `n${i}`).then((answer) => assert.equal(answer, `n${i}`))));
await Promise.all(many.map((socket) => { const gone = once(socket, 'close'); socket.terminate(); return gone; }));
while (closes.length < 53) await new Promise((resolve) => setTimeout(resolve, 10));
assert.deepEqual(closes[0], [4000, 'enough']);
server.close();
console.log('websocket: all well');
process.exit(0);
