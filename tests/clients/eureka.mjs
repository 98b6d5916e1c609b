// Registers a small server with eureka-js-client, finds ORDER-SERVICE, and cancels when its input says so.
//
// Arguments: the registry's host, port and key, and the application's name. It prints "ready PORT" when it is registered, its
// server answers every request with "node PORT", and it ends after a line of input.

import assert from 'node:assert';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';

const [host, port, key, app, modules] = process.argv.slice(2);
const { Eureka } = createRequire(path.join(modules, 'package.json'))('eureka-js-client');

const server = http.createServer((_, response) => {
  response.setHeader('content-type', 'text/plain');
  response.end(`node ${server.address().port}`);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const own = server.address().port;

const quiet = () => {};
const client = new Eureka({
  logger: { debug: quiet, info: quiet, warn: console.error, error: console.error },
  requestMiddleware: (request, done) => done({ ...request, auth: { user: 'any', password: key } }),
  eureka: { host, port, heartbeatInterval: 1000, registryFetchInterval: 1000 },
  instance: {
    app,
    instanceId: `node-${own}`,
    hostName: '127.0.0.1',
    ipAddr: '127.0.0.1',
    port: { $: own, '@enabled': true },
    vipAddress: app.toLowerCase(),
    leaseInfo: { renewalIntervalInSecs: 1, durationInSecs: 3 },
    dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
  },
});
await promisify(client.start.bind(client))();

const [order] = client.getInstancesByAppId('ORDER-SERVICE');
const health = await fetch(`http://${order.ipAddr}:${order.port.$}/actuator/health/liveness`);
assert.strictEqual((await health.json()).status, 'UP');
assert.strictEqual(client.getInstancesByVipAddress('order-service').length, 1);

console.log('ready', own);
await once(process.stdin, 'data');
await promisify(client.stop.bind(client))();
console.log('stopped');
process.exit(0);
