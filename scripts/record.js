// Records datagrams of the real kernel for test/unit/wire, next to what conntrack(8), ip(8), /proc or the set-up itself
// say of the same events: `node scripts/record.js` (root) writes test/unit/wire/vectors/*.json anew.
import { Lab } from './lab.js';
import { recordConntrack } from './record/conntrack.js';
import { recordLinks } from './record/links.js';
import { recordNflog } from './record/nflog.js';

const lab = new Lab();
await recordConntrack(lab);
await recordNflog(lab);
await recordLinks(lab);
lab.close();
process.exit();
