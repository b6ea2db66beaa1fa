import { Redis } from "ioredis";

export function connection() {
  return new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
}
