// What the demo does, and what flowlogd must write about each of it.
import { ADDRESS } from './router-lab.js';

/** The rules that log packets, given to the router in this order. */
export const RULES = [
  'iptables -I FORWARD -p tcp --dport 8080 -j DROP',
  'iptables -I FORWARD -p tcp --dport 8080 -j NFLOG --nflog-group 32 --nflog-prefix "dbg: FORWARD "',
  'iptables -I INPUT -p tcp --dport 23 -j NFLOG --nflog-group 32 --nflog-prefix "dbg: INPUT "',
];

/**
 * What is done, and what must then be written: a connection (and how its answers are addressed, which is what NAT did),
 * or a packet and the prefix of its rule.
 * @typedef {[protocol: string, src: string, dst: string, port: number | undefined]} Way
 * @typedef {{ title: string, run: () => unknown, connection?: Way, answers?: [src: string, dst: string], packet?: Way, prefix?: string }} Step
 */

/** The demo, in order. @param {import('./router-lab.js').RouterLab} lab @returns {Step[]} */
export function steps(lab) {
  const { vm, other, floating, gateway, outside } = ADDRESS;
  return [
    {
      title: 'ping from outside to the floating IP',
      run: () => lab.ping(lab.outside, floating),
      connection: ['ICMP', outside, floating, undefined],
      answers: [vm, outside],
    },
    {
      title: 'ping from the VM to outside',
      run: () => lab.ping(lab.vm, outside),
      connection: ['ICMP', vm, outside, undefined],
      answers: [outside, floating],
    },
    {
      title: 'TCP from outside to the floating IP, port 22',
      run: () => lab.exchange(lab.outside, 'tcp', floating, 22),
      connection: ['TCP', outside, floating, 22],
      answers: [vm, outside],
    },
    {
      title: 'TCP from the VM to outside, 20 kB',
      run: () => lab.exchange(lab.vm, 'tcp', outside, 443, 20_000),
      connection: ['TCP', vm, outside, 443],
      answers: [outside, floating],
    },
    {
      title: 'UDP from outside to the floating IP',
      run: () => lab.exchange(lab.outside, 'udp', floating, 5353),
      connection: ['UDP', outside, floating, 5353],
      answers: [vm, outside],
    },
    {
      title: "UDP from the second VM, which shares the router's own address",
      run: () => lab.exchange(lab.other, 'udp', outside, 9999),
      connection: ['UDP', other, outside, 9999],
      answers: [outside, gateway],
    },
    {
      title: "TCP to the router's address, port 2222, which is forwarded",
      run: () => lab.exchange(lab.outside, 'tcp', gateway, 2222),
      connection: ['TCP', outside, gateway, 2222],
      answers: [other, outside],
    },
    {
      title: 'TCP to the router itself, port 23: logged, and refused',
      run: () => lab.send(lab.outside, 'tcp', gateway, 23),
      connection: ['TCP', outside, gateway, 23],
      answers: [gateway, outside],
      packet: ['TCP', outside, gateway, 23],
      prefix: 'dbg: INPUT',
    },
    {
      title: 'TCP to the floating IP, port 8080: logged, and dropped, so never a connection',
      run: () => lab.send(lab.outside, 'tcp', floating, 8080),
      // FORWARD comes after the destination was translated.
      packet: ['TCP', outside, vm, 8080],
      prefix: 'dbg: FORWARD',
    },
  ];
}
