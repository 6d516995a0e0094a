import { describe, expect, test } from 'vitest';
import { parseConninfo } from '../../../src/database/conninfo.ts';

describe('a connection string of libpq', () => {
  test.each([
    [
      'host=db.example.net port=5433 dbname=ulogd user=u',
      { host: 'db.example.net', port: 5433, database: 'ulogd', user: 'u' },
    ],
    [`  dbname = 'my db' password='it\\'s \\\\ here'`, { database: 'my db', password: `it's \\ here` }],
    ['host=/run/postgresql dbname=u connect_timeout=5', { host: '/run/postgresql', database: 'u' }],
    [
      'hostaddr=192.0.2.1 sslmode=require',
      { host: '192.0.2.1', ssl: { rejectUnauthorized: false, checkServerIdentity: expect.any(Function) } },
    ],
    ['sslmode=verify-full', { ssl: { rejectUnauthorized: true } }],
    ['sslmode=prefer', { ssl: false }],
    ["password=''", {}],
    ['', {}],
    ['postgresql://u:p@db/ulogd', { connectionString: 'postgresql://u:p@db/ulogd' }],
  ])('%j', (text, config) => {
    expect(parseConninfo(text)).toEqual(config);
  });

  test.each([
    ["password='secret", 'connstring: cannot be read behind its first 0 characters'],
    ['dbname=u =secret', 'connstring: cannot be read behind its first 8 characters'],
    ['sslmode=secret', 'connstring: sslmode is none of disable, allow, prefer, require, verify-ca, verify-full'],
    ['dbname=u pasword=secret', 'connstring: "pasword" is not known'],
  ])('%j is an error that shows no value', (text, message) => {
    expect(() => parseConninfo(text)).toThrow(message);
    expect(() => parseConninfo(text)).not.toThrow(/secret/);
  });
});
