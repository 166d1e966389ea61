#!/usr/bin/env node
import * as rwkv from 'rwkv-js';

process.stdout.write(`${Object.keys(rwkv).join('\n')}\n`);
