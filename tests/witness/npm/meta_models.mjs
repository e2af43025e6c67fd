// Normalises and hashes a value by Meta's own library.
import sdk from "facebook-nodejs-business-sdk";

const act = (value, field) => sdk.ServerSideUtils.normalizeAndHash(value, field);

const membersOf = () => ({});
