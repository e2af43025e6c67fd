// Calls one method of a custom audience by Meta's own client.
import sdk from "facebook-nodejs-business-sdk";

async function act(url, token, method, ...rest) {
  Object.defineProperty(sdk.FacebookAdsApi, "GRAPH", { get: () => url, configurable: true });
  Object.defineProperty(sdk.FacebookAdsApi, "VERSION", { get: () => "v25.0", configurable: true });
  const api = sdk.FacebookAdsApi.init(token, "en_US", false);
  const audience = new sdk.CustomAudience("123456789", undefined, undefined, api);
  const answer = await audience[method](...rest);
  return answer?._data ?? answer;
}

const membersOf = (error) => ({ status: error.status, response: error.response });
